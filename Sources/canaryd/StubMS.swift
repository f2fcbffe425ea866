import ArgumentParser
struct ModelServerCommand: ParsableCommand {}
