import Glibc

@testable import ReferenceModel

/// A directory of its own that goes with the value.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/reference-model-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template)!)
    }

    deinit {
        guard let directory = opendir(path) else { return }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if name != ".", name != ".." { unlink("\(path)/\(name)") }
        }
        closedir(directory)
        rmdir(path)
    }

    func write(_ name: String, _ text: String) throws -> String {
        try FileBytes.write(Array(text.utf8), to: "\(path)/\(name)")
        return "\(path)/\(name)"
    }
}

/// The first rows of the real data.
enum AdultFixture {
    static let directory: String = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/") + "/examples/income/data"
    }()

    static let subset: AdultData = {
        let directory = TemporaryDirectory()
        for name in ["adult_train.csv", "adult_test.csv"] {
            let bytes = try! FileBytes.read("\(Self.directory)/\(name)", limit: AdultData.fileLimit)
            var lines = 0
            var end = 0
            while lines <= 1_200 {
                if bytes[end] == 10 { lines += 1 }
                end += 1
            }
            try! FileBytes.write(Array(bytes[..<end]), to: "\(directory.path)/\(name)")
        }
        return try! AdultData.load(directory: directory.path)
    }()

    /// Trained briefly on the subset.
    static let artifacts: [Artifact.Kind: Artifact] = {
        var builder = ArtifactBuilder(data: subset, epochs: (25, 5))
        return Dictionary(
            uniqueKeysWithValues: Artifact.Kind.allCases.map { ($0, builder.make(ArtifactName(kind: $0)) { _ in }) })
    }()
}
