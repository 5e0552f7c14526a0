import ResyncCore
