# shellcheck shell=bash
# shellcheck disable=SC2154 # root, ours and reference come from common.sh
# What the benchmarks share: options, the harness, the table. Source it after common.sh and private.sh.
#
# Options of every benchmark: --ours DIR, --reference DIR, --rounds N (a factor in percent of the usual rounds).

percent=100

# shellcheck disable=SC2120 # the arguments are those of the script
parse_bench() {
    while [ $# -gt 0 ]; do
        case $1 in
        --ours | --reference | --rounds)
            [ $# -ge 2 ] || die "$1 needs a value"
            case $1 in
            --ours) ours=$2 ;;
            --reference) reference=$2 ;;
            --rounds) percent=$2 ;;
            esac
            shift
            ;;
        -h | --help) usage && exit 0 ;;
        *) die "unknown option '$1'" ;;
        esac
        shift
    done
    [[ $percent =~ ^[0-9]+$ ]] || die "--rounds is a number in percent"
}

rounds() {
    local count=$(($1 * percent / 100))
    printf '%d\n' $((count < 3 ? 3 : count))
}

# Compiles the harness, and a program that prints two bytes: the floor of every start.
prepare_bench() {
    local compiler
    compiler=$(c_compiler) || die "no C compiler for the harness"
    [ -x "$ours/bridge" ] || die "no executables in $ours: run scripts/build.sh"
    [ -x "$reference/bridge" ] || die "no reference plugins in $reference: install containernetworking-plugins"
    bench=$(mktemp -d)
    trap 'rm -rf -- "$bench"' EXIT
    "$compiler" -O2 -Wall -o "$bench/harness" "$root/scripts/bench/harness.c"
    mkdir "$bench/floor"
    printf '#include <unistd.h>\nint main(void) { return write(1, "{}\\n", 3) != 3; }\n' >"$bench/floor.c"
    "$compiler" -O2 -o "$bench/floor/bridge" "$bench/floor.c"
    rows=$bench/rows
    : >"$rows"
}

# harness ARGUMENTS…: runs it over both suites and keeps its rows.
harness() { "$bench/harness" "$@" "swiftlet=$ours" "reference=$reference" >>"$rows"; }

conditions() {
    say "Conditions: $(nproc) × $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)," \
        "state on tmpfs, suites interleaved in one run."
    say
}

# Turns the rows into a table. A budget is "what<TAB>factor" on stdin, ours ÷ reference. Fails if any of our calls failed; the reference's failures (it races with itself over iptables) are printed.
table() {
    awk -F '\t' -v rows="$rows" '
        { budget[$1] = $2 }
        function time(us) { return us < 1000 ? sprintf("%d µs", us) : sprintf("%.2f ms", us / 1000) }
        function cell(key) {
            if (!(key in median)) return "–"
            return rate ? sprintf("%.1f /s", median[key] / 1000) : time(median[key]) " (" time(p95[key]) ")"
        }
        END {
            while ((getline line < rows) > 0) {
                split(line, f, "\t")
                key = f[1] SUBSEP f[2]
                if (!(f[1] in seen)) { seen[f[1]] = 1; order[++count] = f[1] }
                median[key] = f[3]; p95[key] = f[4]; rss[key] = f[5]; runs[f[1]] = f[6]
                if (f[7] > 0) { if (f[2] != "reference") failures += f[7]; bad = bad sprintf("%s %s: %d of %d calls failed\n", f[2], f[1], f[7], f[6]) }
            }
            print "| what | swiftlet, median (p95) | reference, median (p95) | ratio | budget | peak memory, KiB | runs |"
            print "|---|---:|---:|---:|---:|---:|---:|"
            for (i = 1; i <= count; i++) {
                what = order[i]; rate = what ~ / rate /
                a = what SUBSEP "swiftlet"; b = what SUBSEP "reference"
                ratio = (a in median) && median[b] > 0 ? sprintf("%.2f", median[a] / median[b]) : "–"
                bound = what in budget ? (rate ? "≥ " : "≤ ") budget[what] : ""
                memory = (a in rss) ? rss[a] " / " rss[b] : ""
                printf "| %s | %s | %s | %s | %s | %s | %d |\n", what, cell(a), cell(b), ratio, bound, memory, runs[what]
            }
            if (bad != "") { printf "\n%s", bad > "/dev/stderr"; exit failures > 0 }
        }'
}
