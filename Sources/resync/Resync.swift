import ResyncCore
import ResyncEngine

@main
struct Resync {
    static func main() throws {
        let a = CommandLine.arguments
        print(try quickVerify(Array(a[1].utf8), Array(a[2].utf8), workers: Int(a[3]) ?? 2))
    }
}
