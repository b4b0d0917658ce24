#!/usr/bin/env bash
# Builds every executable in the shape that starts fastest, into dist/bin.
#
#   scripts/build.sh [--static | --debug] [--product NAME]...
#
# (default)       release into dist/bin: Swift's, C++'s and gcc's runtimes, jansson and libnftnl inside, libmnl and glibc shared,
#                 position independent, packed relative relocations, no exported symbols, stripped
# --static        release into dist/static: no shared library at all; needs a libmnl.a, found beside libmnl.so or named
#                 by LIBMNL_A=/path/to/libmnl.a
# --debug         debug into dist/debug: symbols kept, Swift's runtime inside
# --product NAME  only this executable (may be repeated)
#
# What each part of the shape buys is measured in docs/architecture.md.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"

shape=release
products=()

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --static) shape=static ;;
        --debug) shape=debug ;;
        --product)
            [ $# -ge 2 ] || die "--product needs a name"
            products+=("$2")
            shift
            ;;
        -h | --help) usage && exit 0 ;;
        *) die "unknown option '$1'" ;;
        esac
        shift
    done
    if [ "${#products[@]}" -eq 0 ]; then
        mapfile -t products < <(find "$root/Sources/Commands" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort)
    fi
}

# Where the compiler finds a library file; it echoes the bare name when it has none.
library_file() {
    local compiler path
    compiler=$(c_compiler) || die "no C compiler: install gcc, or a Swift toolchain with its clang"
    path=$("$compiler" -print-file-name="$1")
    [ "$path" != "$1" ] || return 1
    readlink -f -- "$path"
}

find_libmnl_archive() {
    if [ -n "${LIBMNL_A:-}" ]; then
        [ -f "$LIBMNL_A" ] || die "LIBMNL_A=$LIBMNL_A: no such file"
        readlink -f -- "$LIBMNL_A"
    else
        library_file libmnl.a || die "--static needs a libmnl.a: Debian packages none; name one by LIBMNL_A=/path"
    fi
}

# The linker takes the first match on its path. SwiftPM puts pkg-config's directories before all others, so pkg-config
# files of our own, pointing at a directory of links, decide which libraries go inside: an archive where there is one.
# (The toolchain's own link line names -lstdc++, and this directory answers that too.)
prepare_libraries() {
    local directory=$1 module name file original
    rm -rf "$directory"
    mkdir -p "$directory/pkgconfig"
    for name in libstdc++.a libjansson.a libnftnl.a; do
        if file=$(library_file "$name"); then
            ln -s "$file" "$directory/$name"
        else
            warn "no $name: linking it shared, which starts slower"
        fi
    done
    if [ "$shape" = static ]; then
        file=$(find_libmnl_archive)
        ln -s "$file" "$directory/libmnl.a"
    fi
    for module in jansson libmnl libnftnl; do
        original=$(pkg-config --variable=pcfiledir "$module") || die "pkg-config does not know $module"
        # The links first, the module's own directory after them for what has no archive.
        sed "s|^Libs:.*|Libs: -L$directory -L$(pkg-config --variable=libdir "$module") -l${module#lib}|" \
            "$original/$module.pc" >"$directory/pkgconfig/$module.pc"
    done
}

compile() {
    local scratch=$1 product
    # Without --disable-local-rpath the loader would look for libmnl beside the plugin first, in a dozen directories.
    # Undeclared imports only warn: SwiftPM takes swift-nio's import of Apple's System, which Linux has not, for our room
    # of that name. scripts/test.sh fails on such a warning about a target of ours.
    local options=(--scratch-path "$scratch" --explicit-target-dependency-import-check warn --disable-local-rpath)
    local common=(-Xswiftc -use-ld=lld -Xlinker --no-export-dynamic -Xlinker -s)
    # Generic types are asked of their accessors, with conformances the linker knows, rather than by their mangled names,
    # which the runtime would take apart and search conformances for in every process.
    common+=(-Xswiftc -Xfrontend -Xswiftc -disable-concrete-type-metadata-mangled-name-accessors)
    case $shape in
    debug)
        options+=(-c debug --static-swift-stdlib)
        ;;
    release)
        prepare_libraries "$scratch/libraries"
        options+=(-c release --static-swift-stdlib "${common[@]}" -Xlinker -L"$scratch/libraries")
        options+=(-Xswiftc -Xclang-linker -Xswiftc -static-libgcc -Xlinker -z -Xlinker pack-relative-relocs)
        ;;
    static)
        prepare_libraries "$scratch/libraries"
        options+=(-c release -Xswiftc -static-executable "${common[@]}" -Xlinker -L"$scratch/libraries")
        ;;
    esac
    if [ "$shape" != debug ]; then
        export PKG_CONFIG_PATH=$scratch/libraries/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
    fi
    for product in "${products[@]}"; do
        swift build --package-path "$root" "${options[@]}" --product "$product"
    done
    binaries=$(swift build --package-path "$root" "${options[@]}" --show-bin-path)
}

# What must hold of every executable we ship; each of these was lost once by an innocent change.
inspect() {
    local product=$1 file=$2
    [ "$shape" != debug ] || return 0
    # bridge recognises our host-local by this note.
    readelf -n "$file" 2>/dev/null | grep Swiftlet >/dev/null || warn "$product: the .note.swiftlet section is gone"
    if [ "$shape" = release ]; then
        readelf -h "$file" | grep "Type:.*DYN" >/dev/null || warn "$product: not position independent"
    fi
    # Top-level variables in main.swift are main-actor state: they pull in Concurrency and libdispatch, whose
    # initialisers run in every process.
    case $product in
    swiftlet | swiftletd) ;;
    *)
        if grep -q com.apple.root.default-qos "$file"; then
            warn "$product: libdispatch is linked in; keep top-level variables and async out of main.swift"
        fi
        # Searching a String for a String (contains, split, ranges) is regular expression code in Swift: a megabyte.
        # swift build with -Xswiftc -Xfrontend -Xswiftc -disable-implicit-string-processing-module-import names the line.
        if grep -q _RegexParser "$file"; then
            warn "$product: the regular expression engine is linked in; compare UTF-8 or characters instead"
        fi
        ;;
    esac
}

install_built() {
    local directory=$1 product libraries
    mkdir -p "$directory"
    printf '%-14s %9s  %s\n' executable 'size KiB' 'shared libraries'
    for product in "${products[@]}"; do
        # A running executable cannot be written, but its name can be given to another file.
        cp -- "$binaries/$product" "$directory/.$product.new"
        mv -f -- "$directory/.$product.new" "$directory/$product"
        inspect "$product" "$directory/$product"
        libraries=$(readelf -d "$directory/$product" 2>/dev/null |
            sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | paste -sd ' ' -)
        printf '%-14s %9s  %s\n' "$product" "$(($(stat -c %s "$directory/$product") / 1024))" "${libraries:-none}"
    done
}

main() {
    parse "$@"
    have swift || die "no swift on PATH: install Swift 6.3 from swift.org"
    "$root/scripts/dependencies.sh" build
    case $shape in
    release)
        compile "$root/.build/dist"
        install_built "$root/dist/bin"
        ;;
    static)
        compile "$root/.build/static"
        install_built "$root/dist/static"
        ;;
    debug)
        compile "$root/.build/executables"
        install_built "$root/dist/debug"
        ;;
    esac
}

main "$@"
