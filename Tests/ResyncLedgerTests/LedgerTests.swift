import Testing

@testable import ResyncLedger
