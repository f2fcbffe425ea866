import GRDB

/// An error of the store. Its description says in one line what failed, where, and how to fix it. Nothing was written.
public struct StoreError: Error, Hashable, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// The directory or a file in it cannot be used as it is.
        case unusable
        /// Another agent uses the same directory.
        case inUse
        /// A newer canaryd wrote the database.
        case newerSchema
        /// There is no space left. The store works again by itself once there is.
        case full
        /// Another program holds a lock on the database.
        case busy
        /// The database was found damaged, moved or deleted while in use.
        case damaged
        /// A value could not be encoded or decoded.
        case unreadable
        /// The system refused to read or write.
        case io
    }
    public var code: Code
    public var description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    /// - Parameter path: the path of the database.
    init(_ error: DatabaseError, path: String) {
        let detail = error.message ?? "\(error.extendedResultCode)"
        switch error.resultCode {
        case .SQLITE_FULL:
            self.init(.full, "\(path): no space left to write; free some, and the agent goes on by itself")
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(.busy, "\(path): locked by another program (\(detail)); close what has it open for writing")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            self.init(
                .damaged,
                "\(path): damaged (\(detail)); restart the agent: it moves the file aside and starts with an empty one")
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN, .SQLITE_AUTH:
            self.init(
                .unusable,
                "\(path): cannot be opened for writing (\(detail)); "
                    + "give the agent's user write access to it and its folder")
        default:
            self.init(
                .io, "\(path): \(detail) (SQLite \(error.extendedResultCode.rawValue)); check disk and kernel log")
        }
    }
}

/// Runs `body` and converts the errors that it throws to `StoreError`.
func convertingErrors<T>(at path: String, _ body: () throws -> T) throws(StoreError) -> T {
    do { return try body() } catch let error as StoreError { throw error } catch let error as DatabaseError {
        throw StoreError(error, path: path)
    } catch {
        throw StoreError(.io, "\(path): \(error)")
    }
}
