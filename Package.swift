// swift-tools-version: 6.1
import PackageDescription

// One module a target; docs/ARCHITECTURE.md says what each is for and scripts/check-layers holds the
// imports to the arrows drawn here.

// The modules that compute the judge's results are optimized in debug builds too, since the tests spend most of their
// time there. Preconditions and checks for overflow stay; `assert` is compiled out. To step through these modules in a
// debugger, build with CANARYD_DEBUG_JUDGE=1.
let optimized: [SwiftSetting] =
    Context.environment["CANARYD_DEBUG_JUDGE"] == nil ? [.unsafeFlags(["-O"], .when(configuration: .debug))] : []

let core: [Target] = [
    .target(name: "CMath", linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Statistics", dependencies: ["CMath"], swiftSettings: optimized),
    .target(name: "PlainText"),
    .target(name: "JSON", dependencies: ["PlainText"]),
    .target(name: "Vocabulary"),
    .target(name: "PolicyModel", dependencies: ["Vocabulary", "PlainText"]),
    .target(
        name: "Analysis", dependencies: ["Vocabulary", "Statistics", "PolicyModel"], swiftSettings: optimized),
    .target(name: "RolloutEngine", dependencies: ["Vocabulary", "Analysis", "PolicyModel"]),
    .target(
        name: "PolicySimulation",
        dependencies: ["Vocabulary", "CMath", "Statistics", "PolicyModel", "Analysis", "RolloutEngine"],
        swiftSettings: optimized),
    .target(name: "PrometheusText"),
]

let shims: [Target] = [
    .target(name: "CLinuxEngine"),
    .target(name: "CProcess"),
    .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .target(name: "CCurl", dependencies: ["CSystemCurl"]),
    .systemLibrary(
        name: "CSystemCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
]

// The data plane's release builds do not check for overlapping access at run time. Those checks were a fifth of the
// instructions that the agent executes for a request. Debug builds, which the tests use, have them, and so do the fuzzers.
let uncheckedAccess: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

let shells: [Target] = [
    .target(name: "FileAccess"),
    .target(name: "Threading", dependencies: ["CLinuxEngine"]),
    .target(name: "HTTPEngine", dependencies: ["Threading", "CLinuxEngine"], swiftSettings: uncheckedAccess),
    .target(
        name: "TrafficProxy",
        dependencies: [
            "Vocabulary", "Threading", "HTTPEngine", "PolicyModel", "Analysis", "Statistics", "CLinuxEngine",
        ], swiftSettings: uncheckedAccess),
    .target(name: "PolicyYAML", dependencies: ["FileAccess", "Vocabulary", "PolicyModel", "CYAML"]),
    .target(
        name: "MetricsScrape",
        dependencies: ["Threading", "PlainText", "PolicyModel", "Analysis", "PrometheusText", "CCurl"]),
    .target(
        name: "RolloutStore",
        dependencies: [
            "FileAccess", "Vocabulary", "PlainText", "PolicyModel", "Analysis", "RolloutEngine", "RolloutController",
            .product(name: "GRDB", package: "GRDB.swift"),
        ]),
    .target(
        name: "RolloutController",
        dependencies: ["Vocabulary", "PolicyModel", "Statistics", "Analysis", "RolloutEngine", "PrometheusText"]),
    .target(name: "AdminTypes", dependencies: ["Vocabulary", "PlainText", "JSON"]),
    .target(
        name: "AdminAPI",
        dependencies: [
            "Vocabulary", "AdminTypes", "HTTPEngine", "PlainText", "JSON", "PolicyModel", "Analysis", "RolloutEngine",
            "RolloutController", "PrometheusText",
        ]),
    .target(name: "AdminClient", dependencies: ["AdminTypes", "HTTPEngine"]),
    .target(
        name: "ReferenceModel",
        dependencies: [
            "FileAccess", "Threading", "PlainText", "JSON", "HTTPEngine", "CKernels", "PrometheusText", "Statistics",
        ]),
    .target(
        name: "CommandLineTools",
        dependencies: [
            "Vocabulary", "Threading", "AdminTypes", "AdminClient", "PlainText", "PolicyModel", "PolicyYAML",
            "PolicySimulation", "JSON", "Analysis", "RolloutEngine", "PrometheusText", "Statistics",
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ]),
]

// Functions of the Swift runtime that proxy-bench counts calls of.
let counted = ["Retain", "Release"].flatMap { name in
    ["swift_\(name.lowercased())", "swift_bridgeObject\(name)"].flatMap { [$0, $0 + "_n"] }
}

let mains: [Target] = [
    .executableTarget(
        name: "canaryd",
        dependencies: [
            "FileAccess", "Vocabulary", "Threading", "HTTPEngine", "TrafficProxy", "PlainText", "PolicyModel",
            "PolicyYAML", "MetricsScrape", "RolloutStore", "RolloutEngine", "RolloutController", "AdminAPI",
            "AdminClient", "AdminTypes",
            "ReferenceModel", "CommandLineTools", "CProcess",
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
            .product(name: "Logging", package: "swift-log"),
        ]),
    // Not installed: bench/judge/run builds and runs it.
    .executableTarget(
        name: "judge-bench", dependencies: ["Statistics", "PolicyModel", "Analysis"], path: "bench/judge/Simulation"),
    // Not installed: bench/thousand/run builds and runs it.
    .executableTarget(
        name: "thousand-bench",
        dependencies: [
            "Vocabulary", "PolicyModel", "PolicyYAML", "Analysis", "MetricsScrape", "PrometheusText", "RolloutEngine",
            "RolloutController", "RolloutStore",
        ],
        path: "bench/thousand/Simulation",
        // SQLite's calls of it are counted.
        linkerSettings: [.unsafeFlags(["-Xlinker", "--export-dynamic-symbol=fdatasync"])]),
    // Not installed: bench/proxy/run builds and measures it.
    .executableTarget(
        name: "proxy-bench",
        dependencies: ["Statistics", "TrafficProxy", "HTTPEngine", "PolicyModel", "CLinuxEngine", "CProxyBench"],
        path: "bench/proxy/Tool", linkerSettings: [.unsafeFlags(counted.flatMap { ["-Xlinker", "--wrap=\($0)"] })]),
    .target(name: "CProxyBench", path: "bench/proxy/CProxyBench"),
    // Not installed: scripts/test --faults builds and runs it.
    .executableTarget(
        name: "proxy-faults",
        dependencies: [
            "TrafficProxy", "HTTPEngine", "PolicyModel", "Analysis", "AdminClient", "AdminTypes", "CLinuxEngine",
            "CProcess",
        ],
        path: "bench/faults", exclude: ["README.md", "run", "hostile"]),
    .executableTarget(name: "canaryctl", dependencies: ["CommandLineTools"]),
]

let tests: [Target] = [
    .target(
        name: "TestSupport",
        dependencies: ["Vocabulary", "Statistics", "PolicyModel", "Analysis", "RolloutEngine", "RolloutController"],
        path: "Tests/TestSupport"),
    // How the cost of work grows with its input.
    .target(name: "GrowthMeasure", path: "Tests/GrowthMeasure"),
    .testTarget(name: "FileAccessTests", dependencies: ["FileAccess"]),
    .testTarget(name: "PlainTextTests", dependencies: ["PlainText"]),
    .testTarget(name: "JSONTests", dependencies: ["JSON"]),
    .testTarget(name: "StatisticsTests", dependencies: ["Statistics", "TestSupport"]),
    .testTarget(name: "PolicyModelTests", dependencies: ["PolicyModel"]),
    .testTarget(
        name: "AnalysisTests", dependencies: ["Vocabulary", "Analysis", "Statistics", "TestSupport", "GrowthMeasure"]),
    .testTarget(
        name: "PolicySimulationTests",
        dependencies: ["Vocabulary", "PolicySimulation", "PolicyYAML", "RolloutController", "TestSupport"]),
    .testTarget(
        name: "RolloutEngineTests", dependencies: ["Vocabulary", "RolloutEngine", "TestSupport"],
        exclude: ["Transcripts"]),
    .testTarget(
        name: "PrometheusTextTests", dependencies: ["PrometheusText", "GrowthMeasure"], exclude: ["Fixtures"]),
    .testTarget(name: "ThreadingTests", dependencies: ["Threading", "CLinuxEngine"]),
    .testTarget(name: "HTTPEngineTests", dependencies: ["HTTPEngine", "CLinuxEngine", "TestSupport", "GrowthMeasure"]),
    .testTarget(
        name: "TrafficProxyTests",
        dependencies: ["TrafficProxy", "Statistics", "HTTPEngine", "CLinuxEngine", "TestSupport"]),
    .testTarget(
        name: "PolicyYAMLTests", dependencies: ["PolicyYAML", "PrometheusText", "GrowthMeasure"], exclude: ["Fixtures"]),
    .testTarget(
        name: "MetricsScrapeTests", dependencies: ["MetricsScrape", "HTTPEngine", "TestSupport", "GrowthMeasure"]),
    .testTarget(name: "RolloutStoreTests", dependencies: ["Vocabulary", "RolloutStore", "TestSupport"]),
    .testTarget(name: "RolloutControllerTests", dependencies: ["Vocabulary", "RolloutController", "TestSupport"]),
    .target(
        name: "AdminTestSupport",
        dependencies: [
            "Vocabulary", "AdminTypes", "AdminAPI", "HTTPEngine", "PolicyModel", "Analysis", "RolloutEngine",
            "RolloutController", "PrometheusText",
        ],
        path: "Tests/AdminTestSupport"),
    .testTarget(
        name: "AdminAPITests",
        dependencies: [
            "Vocabulary", "JSON", "AdminAPI", "AdminClient", "AdminTestSupport", "TestSupport", "GrowthMeasure",
        ]),
    .testTarget(
        name: "ReferenceModelTests",
        dependencies: [
            "ReferenceModel", "JSON", "HTTPEngine", "Statistics", "CKernels", "TestSupport", "GrowthMeasure",
        ]),
    // Runs the two binaries as they are; they lie beside the test bundle.
    .testTarget(
        name: "EndToEndTests",
        dependencies: [
            "Vocabulary", "canaryd", "canaryctl", "AdminClient", "AdminTypes", "HTTPEngine", "JSON", "PrometheusText",
            // To change what an agent has written.
            .product(name: "GRDB", package: "GRDB.swift"),
        ]),
    .testTarget(
        name: "CommandLineToolsTests",
        dependencies: [
            "Vocabulary", "CommandLineTools", "AdminTestSupport", "HTTPEngine", "PlainText", "JSON", "TestSupport",
        ]),
]

let package = Package(
    name: "canaryd",
    products: [
        .executable(name: "canaryd", targets: ["canaryd"]),
        .executable(name: "canaryctl", targets: ["canaryctl"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: core + shims + shells + mains + tests,
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
