# Medians over the rounds, and medians of the ratios to HAProxy in the same round. Reads raw.tsv of bench/proxy/run.
BEGIN { FS = "\t" }
NR == 1 || $2 == "warm" { next }
{
    if (!($1 in seen)) { seen[$1] = ++cases; order[cases] = $1 }
    if (!(($1, $3) in known)) { known[$1, $3] = 1; names[$1] = names[$1] " " $3 }
    for (f = 4; f <= 8; f++) value[$1, $2, $3, f] = $f
    errors[$1, $3] += $9
    if ($2 + 0 > rounds) rounds = $2 + 0
}
function median(list, n,    i, j, t) {
    for (i = 2; i <= n; i++) {
        t = list[i]
        for (j = i - 1; j >= 1 && list[j] > t; j--) list[j + 1] = list[j]
        list[j + 1] = t
    }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
function cell(c, p, f, format, scale,    r, n, m, a, b, list, ratios, text) {
    n = m = 0
    for (r = 1; r <= rounds; r++) {
        a = value[c, r, p, f]
        b = value[c, r, "haproxy", f]
        if (a == "" || a == "-") continue
        list[++n] = a * scale
        if (b != "" && b != "-" && b > 0) ratios[++m] = a / b
    }
    if (n == 0) return "–"
    text = sprintf(format, median(list, n))
    return m == 0 ? text : text sprintf(" (%.2f)", median(ratios, m))
}
END {
    for (k = 1; k <= cases; k++) {
        c = order[k]
        bulk = c == "upload" || c == "download"
        print "**" c "**\n"
        if (c == "idle") print "| peer | RSS at rest, MiB | KiB per idle connection | errors |\n| --- | --- | --- | --- |"
        else if (bulk) print "| peer | CPU, ms per GiB | MiB/s | RSS, MiB | errors |\n| --- | --- | --- | --- | --- |"
        else print "| peer | CPU, µs per request | requests/s | p50, ms | p99, ms | RSS, MiB | errors |\n| --- | --- | --- | --- | --- | --- | --- |"
        n = split(names[c], peer, " ")
        sorted = " haproxy canaryd nginx envoy traefik "
        m = split(sorted, all, " ")
        for (i = 1; i <= m; i++) {
            p = all[i]
            if (!((c, p) in known)) continue
            if (c == "idle") printf "| %s | %s | %s | %d |\n", p, cell(c, p, 8, "%.1f", 1 / 1024), cell(c, p, 4, "%.1f", 1), errors[c, p]
            else if (bulk) printf "| %s | %s | %s | %s | %d |\n", p, cell(c, p, 4, "%.0f", 1), cell(c, p, 5, "%.0f", 1), cell(c, p, 8, "%.1f", 1 / 1024), errors[c, p]
            else printf "| %s | %s | %s | %s | %s | %s | %d |\n", p, cell(c, p, 4, "%.1f", 1), cell(c, p, 5, "%.0f", 1), cell(c, p, 6, "%.2f", 0.001), cell(c, p, 7, "%.2f", 0.001), cell(c, p, 8, "%.1f", 1 / 1024), errors[c, p]
        }
        print ""
    }
}
