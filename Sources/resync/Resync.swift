@main
struct Resync {
    static func main() {}
}
