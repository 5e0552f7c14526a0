package import ResyncCore

extension ManifestHashes<EVPHash> {
    /// With OpenSSL's digests.
    package static var openSSL: ManifestHashes<EVPHash> {
        ManifestHashes { algorithm in
            guard let hash = try? EVPHash(algorithm) else {
                preconditionFailure("OpenSSL has no \(algorithm.rawValue)")
            }
            return hash
        }
    }
}
