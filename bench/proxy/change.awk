# CPU of canaryd against the older binary of --before: for each case the geometric mean of the ratios in the same round,
# with the 95 % interval of Student's t on their logarithms. Reads raw.tsv of bench/proxy/run.
BEGIN {
    FS = "\t"
    n = split("12.706 4.303 3.182 2.776 2.571 2.447 2.365 2.306 2.262 2.228 2.201 2.179 2.160 2.145 2.131 2.120 2.110 2.101 2.093 2.086", t, " ")
}
NR == 1 || $2 == "warm" || $4 == "-" { next }
$3 == "canaryd" || $3 == "before" {
    cpu[$1, $2, $3] = $4
    if (!($1 in known)) { known[$1] = 1; cases[++count] = $1 }
    if ($2 + 0 > rounds) rounds = $2 + 0
}
END {
    print "CPU against the binary before, same rounds: geometric mean of the ratios (95 % interval)"
    print ""
    for (i = 1; i <= count; i++) {
        c = cases[i]; m = sum = squares = 0
        for (r = 1; r <= rounds; r++) {
            if (!(cpu[c, r, "canaryd"] > 0 && cpu[c, r, "before"] > 0)) continue
            x = log(cpu[c, r, "canaryd"] / cpu[c, r, "before"])
            m++; sum += x; squares += x * x
        }
        if (m < 2) { printf "- %s: %d rounds with both, no interval\n", c, m; continue }
        mean = sum / m
        variance = (squares - sum * mean) / (m - 1)
        half = (m - 1 <= n ? t[m - 1] : 1.96) * sqrt((variance > 0 ? variance : 0) / m)
        printf "- %s: %.3f (%.3f to %.3f), %d rounds\n", c, exp(mean), exp(mean - half), exp(mean + half), m
    }
}
