#!/usr/bin/env bash
# Builds every executable in the shape that starts fastest, into dist/bin.
#
#   scripts/build.sh [--static | --shared | --symbols | --debug] [--product NAME]...
#
# (default)       release into dist/bin. Plugins have no shared library and fixed addresses; without the archives that
#                 takes they are made as with --shared. The daemon and its command line are always made as with --shared:
#                 they resolve names, which glibc does by loading libraries.
# --static        the same, but missing archives are an error
# --shared        release into dist/bin: Swift's, C++'s and gcc's runtimes, jansson and libnftnl inside, libmnl and glibc
#                 shared, position independent, packed relative relocations
# --symbols       as --static, but not stripped, into dist/symbols: for profiles; of the daemon a linker map, too
# --debug         debug into dist/debug: symbols kept, Swift's runtime inside
# --product NAME  only this executable (may be repeated)
#
# Release executables export no symbols and are stripped. Where the system has no libmnl.a, Sources/CLibMNLStatic takes
# its place; LIBMNL_A=/path/libmnl.a names one. What each part of the shape buys is measured in docs/architecture.md.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"

shape=release
products=()

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --shared) shape=shared ;;
        --static) shape=static ;;
        --symbols) shape=symbols ;;
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

# The archives a static executable takes; prints those that are missing.
missing_archives() {
    local name
    for name in libc.a libm.a libpthread.a libdl.a libstdc++.a libjansson.a libnftnl.a; do
        library_file "$name" >/dev/null || printf '%s ' "$name"
    done
}

# Puts a libmnl.a into the directory: the one named, the system's, or our own implementation of what is called of it.
provide_libmnl() {
    local directory=$1 file compiler
    if [ -n "${LIBMNL_A:-}" ]; then
        [ -f "$LIBMNL_A" ] || die "LIBMNL_A=$LIBMNL_A: no such file"
        ln -s "$(readlink -f -- "$LIBMNL_A")" "$directory/libmnl.a"
    elif file=$(library_file libmnl.a); then
        ln -s "$file" "$directory/libmnl.a"
    else
        compiler=$(c_compiler) || die "no C compiler"
        # shellcheck disable=SC2046 # flags are words
        "$compiler" -O2 -Wall -Wextra -Werror -ffunction-sections $(pkg-config --cflags libmnl) \
            -c "$root/Sources/CLibMNLStatic/libmnl.c" -o "$directory/libmnl.o"
        ar rcs "$directory/libmnl.a" "$directory/libmnl.o"
        rm -f "$directory/libmnl.o"
    fi
}

# The linker takes the first match on its path. SwiftPM puts pkg-config's directories before all others, so pkg-config
# files of our own, pointing at a directory of links, decide which libraries go inside: an archive where there is one.
# (The toolchain's own link line names -lstdc++, and this directory answers that too.)
prepare_libraries() {
    local linking=$1 directory=$2 module name file original
    rm -rf "$directory"
    mkdir -p "$directory/pkgconfig"
    for name in libstdc++.a libjansson.a libnftnl.a; do
        if file=$(library_file "$name"); then
            ln -s "$file" "$directory/$name"
        else
            warn "no $name: linking it shared, which starts slower"
        fi
    done
    if [ "$linking" = static ]; then provide_libmnl "$directory"; fi
    for module in jansson libmnl libnftnl; do
        original=$(pkg-config --variable=pcfiledir "$module") || die "pkg-config does not know $module"
        # The links first, the module's own directory after them for what has no archive.
        sed "s|^Libs:.*|Libs: -L$directory -L$(pkg-config --variable=libdir "$module") -l${module#lib}|" \
            "$original/$module.pc" >"$directory/pkgconfig/$module.pc"
    done
}

# compile static|shared|debug PRODUCT…: leaves the directory the executables are in in $binaries.
compile() {
    local linking=$1 product scratch libraries
    shift
    scratch=$root/.build/$linking
    libraries=$scratch/libraries
    # Without --disable-local-rpath the loader would look for libmnl beside the plugin first, in a dozen directories.
    # Undeclared imports only warn: SwiftPM takes swift-nio's import of Apple's System, which Linux has not, for our room
    # of that name. scripts/test.sh fails on such a warning about a target of ours.
    local options=(--scratch-path "$scratch" --explicit-target-dependency-import-check warn --disable-local-rpath)
    local release=(-c release -Xswiftc -use-ld=lld -Xlinker --no-export-dynamic -Xlinker -L"$libraries")
    if [ "$shape" != symbols ]; then
        release+=(-Xlinker -s)
    elif [ "$linking" = shared ]; then
        release+=(-Xlinker -Map="$root/dist/symbols/daemon.map")
    fi
    # Generic types are asked of their accessors, with conformances the linker knows, rather than by their mangled names,
    # which the runtime would take apart and search conformances for in every process.
    release+=(-Xswiftc -Xfrontend -Xswiftc -disable-concrete-type-metadata-mangled-name-accessors)
    case $linking in
    debug) options+=(-c debug --static-swift-stdlib) ;;
    shared)
        options+=("${release[@]}" --static-swift-stdlib)
        # What the daemon calls lies together: the kernel keeps a file in memory by windows of 64 KiB.
        options+=(-Xlinker --symbol-ordering-file="$root/scripts/lib/daemon-order.txt" -Xlinker --no-warn-symbol-ordering)
        options+=(-Xswiftc -Xclang-linker -Xswiftc -static-libgcc -Xlinker -z -Xlinker pack-relative-relocs)
        ;;
    static)
        options+=("${release[@]}" -Xswiftc -static-executable)
        # What every start calls lies together: a fifth fewer page faults, and less of the file in memory.
        options+=(-Xlinker --symbol-ordering-file="$root/scripts/lib/start-order.txt" -Xlinker --no-warn-symbol-ordering)
        ;;
    esac
    # Not for other compilations: a directory of archives before all others is for this shape alone.
    local -x PKG_CONFIG_PATH=${PKG_CONFIG_PATH:-}
    if [ "$linking" != debug ]; then
        prepare_libraries "$linking" "$libraries"
        PKG_CONFIG_PATH=$libraries/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
    fi
    for product in "$@"; do
        swift build --package-path "$root" "${options[@]}" --product "$product"
    done
    binaries=$(swift build --package-path "$root" "${options[@]}" --show-bin-path)
}

# What must hold of every executable we ship; each of these was lost once by an innocent change.
inspect() {
    local linking=$1 product=$2 file=$3
    [ "$linking" != debug ] || return 0
    # bridge recognises our host-local by this note.
    readelf -n "$file" 2>/dev/null | grep Swiftlet >/dev/null || warn "$product: the .note.swiftlet section is gone"
    case $linking in
    shared)
        readelf -h "$file" | grep "Type:.*DYN" >/dev/null || warn "$product: not position independent"
        ;;
    static)
        if readelf -lW "$file" | grep -E '^ *(INTERP|DYNAMIC)' >/dev/null; then warn "$product: needs a loader"; fi
        ;;
    esac
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

# build_into DIRECTORY static|shared|debug PRODUCT…
build_into() {
    local directory=$1 linking=$2 product libraries
    shift 2
    [ $# -gt 0 ] || return 0
    compile "$linking" "$@"
    mkdir -p "$directory"
    for product in "$@"; do
        # A running executable cannot be written, but its name can be given to another file.
        cp -- "$binaries/$product" "$directory/.$product.new"
        mv -f -- "$directory/.$product.new" "$directory/$product"
        inspect "$linking" "$product" "$directory/$product"
        libraries=$(readelf -d "$directory/$product" 2>/dev/null |
            sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | paste -sd ' ' -)
        built+=("$(printf '%-14s %9s  %s' "$product" "$(($(stat -c %s "$directory/$product") / 1024))" "${libraries:-none}")")
    done
}

release() {
    local product missing plugins=() others=()
    for product in "${products[@]}"; do
        case $product in
        swiftlet | swiftletd) others+=("$product") ;;
        *) plugins+=("$product") ;;
        esac
    done
    missing=$(missing_archives)
    if [ -n "$missing" ]; then
        [ "$shape" = release ] || die "no ${missing% }: install libc6-dev, libstdc++-12-dev, libjansson-dev, libnftnl-dev"
        warn "no ${missing% }: linking the plugins with shared libraries, which makes them start half as fast"
        others+=("${plugins[@]}")
        plugins=()
    fi
    if [ "$shape" = symbols ]; then
        mkdir -p "$root/dist/symbols"
        build_into "$root/dist/symbols" static "${plugins[@]}"
        for product in "${products[@]}"; do
            if [ "$product" = swiftletd ]; then build_into "$root/dist/symbols" shared swiftletd; fi
        done
    else
        build_into "$root/dist/bin" static "${plugins[@]}"
        build_into "$root/dist/bin" shared "${others[@]}"
    fi
}

main() {
    built=()
    parse "$@"
    have swift || die "no swift on PATH: install Swift 6.3 from swift.org"
    "$root/scripts/dependencies.sh" build
    case $shape in
    release | static | symbols) release ;;
    shared) build_into "$root/dist/bin" shared "${products[@]}" ;;
    debug) build_into "$root/dist/debug" debug "${products[@]}" ;;
    esac
    printf '%-14s %9s  %s\n' executable 'size KiB' 'shared libraries'
    printf '%s\n' "${built[@]}"
}

main "$@"
