// swift-tools-version: 6.2
import PackageDescription

/// Applied to every Swift target: no target is laxer than another.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

// Tests bring in what they use with `@testable`, which the member import rule does not see through.
let testSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .treatAllWarnings(as: .error),
]

/// In debug builds as well: the tests spend their time in these, and shall run what is shipped.
let optimized: [SwiftSetting] = [.unsafeFlags(["-O"])]

let argumentParser: Target.Dependency = .product(
    name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "resync",
    products: [.executable(name: "resync", targets: ["resync"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Imports point down this list, never up.
        .executableTarget(
            name: "resync",
            dependencies: [
                "ResyncCore", "ResyncStorage", "ResyncEngine", "ResyncLedger", argumentParser,
                .product(name: "Yams", package: "Yams"),
            ],
            exclude: ["Documentation"],
            swiftSettings: settings),
        .target(
            name: "ResyncEngine", dependencies: ["ResyncCore", "ResyncStorage"],
            swiftSettings: settings + optimized),
        .target(
            name: "ResyncLedger",
            dependencies: ["ResyncCore", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: settings),
        .target(
            name: "ResyncStorage", dependencies: ["ResyncCore", "CLinux", "COpenSSL"],
            swiftSettings: settings + optimized),
        .target(name: "ResyncCore", swiftSettings: settings + optimized),
        .target(
            name: "CLinux",
            cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-Wall", "-Werror"])]),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .executableTarget(
            name: "resync-bench",
            dependencies: ["ResyncCore", "ResyncStorage", "ResyncEngine", argumentParser],
            path: "Benchmarks/resync-bench", swiftSettings: settings),
        .target(
            name: "TestSupport", dependencies: ["ResyncCore", "ResyncStorage"],
            path: "Tests/TestSupport", swiftSettings: settings + optimized),
        .testTarget(
            name: "ResyncCoreTests", dependencies: ["ResyncCore", "TestSupport"],
            swiftSettings: testSettings),
        .testTarget(
            name: "ResyncStorageTests",
            dependencies: ["ResyncStorage", "ResyncCore", "TestSupport"],
            swiftSettings: testSettings),
        .testTarget(
            name: "ResyncEngineTests",
            dependencies: ["ResyncEngine", "ResyncStorage", "ResyncCore", "TestSupport"],
            swiftSettings: testSettings),
        .testTarget(
            name: "CommandLineTests", dependencies: ["ResyncCore", "TestSupport"],
            swiftSettings: testSettings),
        .testTarget(
            name: "ResyncLedgerTests",
            dependencies: [
                "ResyncLedger", "ResyncCore", "TestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: testSettings),
        .testTarget(
            name: "FuzzTests",
            dependencies: ["ResyncCore", "ResyncStorage", "ResyncEngine", "TestSupport"],
            swiftSettings: testSettings + optimized),
        .testTarget(name: "TidyTests", swiftSettings: testSettings),
    ],
    swiftLanguageModes: [.v6]
)

// Only for `Scripts/fuzz`: it is linked with libFuzzer, which has a `main` of its own.
if Context.environment["RESYNC_FUZZ"] != nil {
    package.targets.removeAll { $0.name == "FuzzTests" }
    package.targets += [
        .target(
            name: "Fuzzing",
            dependencies: ["ResyncCore", "ResyncStorage", "ResyncEngine", "TestSupport"],
            path: "Tests/FuzzTests", exclude: ["FuzzTests.swift"],
            swiftSettings: testSettings + optimized),
        .executableTarget(
            name: "resync-fuzz", dependencies: ["Fuzzing"], path: "Tests/Fuzzer",
            swiftSettings: testSettings + [.unsafeFlags(["-parse-as-library"])]),
    ]
}
