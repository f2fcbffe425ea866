import AdminTypes
import ArgumentParser

/// `json` and `yaml` are stable; tables are for people.
enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
    case table, json, yaml
}

extension Console {
    /// The one place that knows the forms of output.
    func show(_ value: some Encodable, as format: OutputFormat, table: () -> [String]) throws {
        switch format {
        case .table: for text in table() { line(text) }
        case .json: block(String(decoding: try JSONCoding.encode(value, pretty: true), as: UTF8.self))
        case .yaml: block(YAMLText.write(try JSONCoding.tree(value)))
        }
    }

    /// One of many, as it comes: a JSON object a line, or a YAML document.
    func showItem(_ value: some Encodable, as format: OutputFormat, line text: () -> String) throws {
        switch format {
        case .table: line(text())
        case .json: line(String(decoding: try JSONCoding.encode(value), as: UTF8.self))
        case .yaml: block("---\n" + YAMLText.write(try JSONCoding.tree(value)))
        }
    }
}
