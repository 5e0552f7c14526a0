import ResyncCore

extension Action {
    /// What can be staged together.
    enum Group {
        case forward, link, removal, settling, patch
    }

    var group: Group {
        switch kind {
        case .makeDirectory, .write, .symlink, .special, .metadata: .forward
        case .link: .link
        case .remove, .removeDirectory: .removal
        case .settleDirectory: .settling
        case .patch: .patch
        }
    }
}
