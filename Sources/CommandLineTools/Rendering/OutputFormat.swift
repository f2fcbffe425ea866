import AdminTypes
import ArgumentParser

/// The format of a command's output. `json` and `yaml` are stable; `table` is for people.
enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
    case table, json, yaml
}

extension Console {
    /// Prints a value in a format.
    func show(_ value: some Encodable, as format: OutputFormat, table: () -> [String]) throws {
        switch format {
        case .table: for text in table() { line(text) }
        case .json: block(String(decoding: try JSONCoding.encode(value, pretty: true), as: UTF8.self))
        case .yaml: block(YAMLText.write(try JSONCoding.tree(value)))
        }
    }

    /// Prints one item of a stream: as a line of text, a line of JSON, or a YAML document.
    func showItem(_ value: some Encodable, as format: OutputFormat, line text: () -> String) throws {
        switch format {
        case .table: line(text())
        case .json: line(String(decoding: try JSONCoding.encode(value), as: UTF8.self))
        case .yaml: block("---\n" + YAMLText.write(try JSONCoding.tree(value)))
        }
    }
}
