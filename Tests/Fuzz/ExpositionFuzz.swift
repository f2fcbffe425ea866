// The exposition parser. Compiled together with it by scripts/fuzz; no SwiftPM target.

/// What it accepts is written again and has to read the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzExposition(_ input: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let limits = ExpositionLimits(samples: 256, labels: 8, textLength: 256, lineLength: 1_024)
    let text = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: size)
    defer { text.deallocate() }
    for index in 0..<size { text[index] = input[index] }
    guard let first = try? ExpositionParser.parse(UnsafeBufferPointer(text), limits: limits) else { return 0 }
    guard first.samples.count <= limits.samples, first.families.count <= 2 * limits.samples else {
        fatalError("more than the limits allow")
    }
    var writer = ExpositionWriter()
    for sample in first.samples {
        guard first.families.indices.contains(sample.family) else { fatalError("a sample of no family") }
        guard sample.labels.count <= limits.labels else { fatalError("too many labels") }
        writer.sample(sample.name, sample.labels.map { ($0.name, $0.value) }, value: sample.value)
    }
    guard let second = try? ExpositionParser.parse(writer.bytes) else { fatalError("refused when written again") }
    guard second.samples.count == first.samples.count else { fatalError("samples were lost") }
    for (old, new) in zip(first.samples, second.samples) {
        let sameValue = old.value == new.value || old.value.isNaN && new.value.isNaN
        guard old.name == new.name, old.labels == new.labels, sameValue else {
            fatalError("it reads otherwise when written again")
        }
    }
    return 0
}
