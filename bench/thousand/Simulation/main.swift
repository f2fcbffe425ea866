import Glibc
import PolicyModel
import PolicyYAML
import RolloutController
import RolloutStore

// thousand-bench CONFIG PAGE STATE MINUTES RATE BUSY
// Measures the cost of an agent with many services. bench/thousand/run calls it; bench/thousand/README.md describes it.

func stop(_ message: String) -> Never {
    var bytes = Array("thousand-bench: \(message)\n".utf8)
    _ = write(2, &bytes, bytes.count)
    exit(64)
}

let words = CommandLine.arguments
guard words.count == 7, let minutes = Int(words[4]), let busyRate = Double(words[5]), let busy = Int(words[6]) else {
    stop("usage: thousand-bench CONFIG PAGE STATE MINUTES RATE BUSY; bench/thousand/run calls it")
}
let began = Usage.processorTime
let loaded = ConfigurationLoader.load(agentFile: words[1])
guard let configuration = loaded.configuration, !loaded.hasErrors else {
    stop(loaded.diagnostics.map { "\($0)" }.joined(separator: "\n"))
}
guard let page = contents(of: words[2]) else { stop("\(words[2]): cannot be read") }
print("\(configuration.services.count) services read in \(rounded(Usage.processorTime - began)) s of processor time")

let fleet = try Fleet(configuration, metricsPage: page, directory: words[3], busy: busy, busyRate: busyRate)
try fleet.start("first start")
print(Fleet.header)
print(fleet.run("first minutes of all rollouts", minutes: 2))
print(fleet.run("all in a rollout", minutes: minutes))
try fleet.endRollouts()
print(fleet.run("between rollouts", minutes: minutes))
fleet.kill()
try fleet.start("start after a kill")
fleet.report()
