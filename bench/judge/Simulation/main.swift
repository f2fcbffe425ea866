import Glibc
import Statistics

/// The command line: `--healthy 1000 --bad 200 --rates 10,100 --scenarios tail --out FOLDER --seed 1`. Further options
/// select what is run: `--timing` the cost of an evaluation, `--quality` the recall of a group, `--pairs` the same where both
/// arms respond to each request, `--product` the judge that ships, `--sequential-only` no peers, `--peers-only` nothing but the peers.
struct Arguments {
    var healthy = 1000
    var bad = 200
    var tuning = 100
    var rates = [0.1, 1, 10, 100, 1000]
    var scenarios = Scenario.allCases
    var out: String?
    var seed: UInt64 = 1
    var timing = false
    var quality = false
    var pairs = false
    var product = false
    var plots: String?
    /// Run `TrafficRollout`; parts of the names of the cells to be run, empty for all.
    var isTraffic = false
    var traffic: [String] = []
    var sequentialOnly = false
    var peersOnly = false
    /// The floor of the sequential judge's error rate; 0 for none.
    var floor = SequentialSettings().bounds.floor

    init(_ words: [String]) {
        var rest = words[...]
        func next(_ flag: String) -> String {
            guard let word = rest.popFirst() else { stop("\(flag) needs a value") }
            return word
        }
        func stop(_ message: String) -> Never {
            complain("judge-bench: \(message)")
            exit(2)
        }
        func number<T: LosslessStringConvertible>(_ flag: String) -> T {
            let word = next(flag)
            guard let value = T(word) else { stop("\(flag) \(word): not a number") }
            return value
        }
        while let flag = rest.popFirst() {
            switch flag {
            case "--healthy": healthy = number(flag)
            case "--bad": bad = number(flag)
            case "--tuning": tuning = number(flag)
            case "--floor": floor = number(flag)
            case "--seed": seed = number(flag)
            case "--rates":
                rates = next(flag).split(separator: ",").map {
                    guard let rate = Double($0), rate > 0 else { stop("--rates \($0): not a rate") }
                    return rate
                }
            case "--scenarios":
                scenarios = next(flag).split(separator: ",").map {
                    guard let scenario = Scenario(rawValue: String($0)) else {
                        stop("--scenarios \($0): one of \(Scenario.allCases.map(\.rawValue).joined(separator: " "))")
                    }
                    return scenario
                }
            case "--out": out = next(flag)
            case "--timing": timing = true
            case "--quality": quality = true
            case "--pairs": pairs = true
            case "--product": product = true
            case "--traffic": isTraffic = true
            case "--cells": traffic = next(flag).split(separator: ",").map(String.init)
            case "--plots": plots = next(flag)
            case "--sequential-only": sequentialOnly = true
            case "--peers-only": peersOnly = true
            default: stop("\(flag): unknown; the file bench/judge/README.md lists what there is")
            }
        }
    }
}

func complain(_ line: String) {
    var bytes = Array((line + "\n").utf8)
    _ = write(2, &bytes, bytes.count)
}

let arguments = Arguments(Array(CommandLine.arguments.dropFirst()))
if arguments.timing {
    Timing.print()
    Timing.printProduct()
} else if arguments.quality {
    print(QualityRollout.table(arguments))
} else if arguments.pairs {
    print(PairRollout.table(arguments))
} else if let folder = arguments.plots {
    Plots.write(to: folder, table: "bench/judge/results/table.csv")
} else if arguments.isTraffic {
    print(TrafficRollout.table(arguments))
} else if arguments.product {
    print(ProductRollout.table(arguments))
} else {
    var report = await Report.make(arguments)
    if let csv = arguments.out.flatMap({ Plots.read("\($0)/table.csv") }) { report.fill(from: csv) }
    print(report.markdown)
    if let out = arguments.out { report.write(to: out) }
}
