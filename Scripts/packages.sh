# Sourced by the other scripts: what the system must have before anything can be built or tested.
# POSIX shell; prints on standard error only.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# need_swift: the compiler, or a message that helps.
need_swift() {
    command -v swift >/dev/null 2>&1 && return
    if [ -x /opt/swift/usr/bin/swift ]; then
        PATH=/opt/swift/usr/bin:$PATH
        export PATH
        return
    fi
    say "no Swift toolchain found: install Swift 6.2 or later from https://www.swift.org/install" \
        "and put its usr/bin in PATH"
    exit 69
}

# has_package NAME: whether it is installed, or what it is wanted for is there anyway.
has_package() {
    case $1 in
    libssl-dev) set -- "$1" /usr/include/openssl/evp.h ;;
    libc6-dev) set -- "$1" /usr/include/stdlib.h ;;
    g++) set -- "$1" /usr/bin/g++ ;;
    git | strace | mandoc) set -- "$1" "/usr/bin/$1" ;;
    pkg-config) set -- "$1" /usr/bin/pkg-config ;;
    esac
    [ $# -eq 2 ] && [ -e "$2" ] && return
    command -v dpkg-query >/dev/null 2>&1 || return
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# need_packages NAME...: installs those that are missing; exits 69 where it cannot.
need_packages() {
    missing=
    for package in "$@"; do
        has_package "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        say "these packages (by their Debian names) are missing:$missing"
        exit 69
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "packages are missing; this installs them:"
        printf 'sudo apt-get install -y%s\n' "$missing" >&2
        exit 69
    fi
    say "installing$missing"
    # The list of packages may be missing or too old to be of use: then it is fetched once.
    # shellcheck disable=SC2086 # one word for each package
    apt_install $missing || { apt_run update && apt_install $missing; } || {
        say "apt-get could not install$missing:"
        cat "$apt_log" >&2
        rm -f "$apt_log"
        exit 69
    }
    rm -f "$apt_log"
}

apt_run() {
    apt_log=${apt_log:-$(mktemp)}
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" \
        >"$apt_log" 2>&1 </dev/null
}

apt_install() { apt_run install -y --no-install-recommends "$@"; }

# What a build wants. Swift links through the C compiler's files.
build_packages="ca-certificates git libc6-dev g++ pkg-config libssl-dev libsqlite3-dev"

# What the tests want besides.
test_packages="acl attr btrfs-progs coreutils e2fsprogs gcc libfuse3-dev mandoc mtree-netbsd mount
    procps python3 rsync strace systemd util-linux xfsprogs"
