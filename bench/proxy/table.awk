# One table of medians over the rounds. Brackets: the median of the ratios in the same round, to HAProxy or, in rows of latency,
# to the best of the other peers. Reads raw.tsv of bench/proxy/run.
BEGIN {
    FS = "\t"
    peers = split("canaryd before haproxy nginx envoy traefik", order, " ")
    title["canaryd"] = "canaryd"; title["before"] = "before"; title["haproxy"] = "HAProxy"; title["nginx"] = "nginx"
    title["envoy"] = "Envoy"; title["traefik"] = "Traefik"
    # case, field, scale, digits, what, aim, ratio to (h: HAProxy, b: the best other peer)
    line("keepalive", 4, 1, 1, "32 kept-alive connections, POST 150 B, reply 130 B: CPU, µs a request", "≤ 0.75", "h")
    line("keepalive", 5, 1, 0, "... requests/s at saturation", "", "h")
    line("keepalive", 7, 0.001, 2, "... p99 at saturation, ms", "≤ 1.1 × the best", "b")
    line("sticky", 4, 1, 1, "the same with sticky keys: CPU, µs", "≤ 0.80", "h")
    line("open", 4, 1, 1, "open loop at half of HAProxy's capacity: CPU, µs", "≤ 0.80", "h")
    line("open", 6, 0.001, 2, "... p50, ms", "", "b")
    line("open", 7, 0.001, 2, "... p99, ms", "≤ 1.0 × the best", "b")
    line("connections", 4, 1, 1, "1,000 connections: CPU, µs", "≤ 0.80", "h")
    line("connections", 8, 1 / 1024, 1, "... RSS meanwhile, MiB", "", "h")
    line("new", 4, 1, 1, "a new connection for each request: CPU, µs", "≤ 0.90", "h")
    line("upload", 4, 1, 0, "16 MiB up: CPU, ms a GiB", "≤ 1.0", "h")
    line("download", 4, 1, 0, "16 MiB down: CPU, ms a GiB", "≤ 1.0", "h")
    line("events", 4, 1, 1, "200 streams of 50 events/s: CPU, µs an event", "≤ 1.0", "h")
    line("events", 7, 0.001, 2, "... p99 from write to read, ms", "", "b")
    line("idle", 8, 1 / 1024, 1, "at rest: RSS, MiB", "≤ 20 MiB", "h")
    line("idle", 6, 1 / 1024, 1, "... of it the process's own (RssAnon), MiB", "", "h")
    line("idle", 7, 1, 1, "a kept-alive connection that rests: KiB", "≤ 16 KiB", "h")
}
function line(c, f, scale, digits, what, aim, to) {
    lines++
    case_of[lines] = c; field[lines] = f; scale_of[lines] = scale; digits_of[lines] = digits
    what_of[lines] = what; aim_of[lines] = aim; to_of[lines] = to
}
NR == 1 || $2 == "warm" { next }
{
    seen[$1] = 1
    here[$3] = 1
    for (f = 4; f <= 8; f++) value[$1, $2, $3, f] = $f
    errors[$1 " " $3] += $9
    if ($2 + 0 > rounds) rounds = $2 + 0
}
function has(c, r, p, f) { return value[c, r, p, f] != "" && value[c, r, p, f] != "-" }
function median(list, n,    i, j, t) {
    for (i = 2; i <= n; i++) {
        t = list[i]
        for (j = i - 1; j >= 1 && list[j] > t; j--) list[j + 1] = list[j]
        list[j + 1] = t
    }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
# What a peer is held against in a round; 0: nothing.
function measure(c, r, p, f, to,    i, best) {
    if (to == "h") return p != "haproxy" && has(c, r, "haproxy", f) ? value[c, r, "haproxy", f] : 0
    for (i = 1; i <= peers; i++)
        if (order[i] != p && order[i] != "canaryd" && order[i] != "before" && has(c, r, order[i], f))
            if (!best || value[c, r, order[i], f] + 0 < best) best = value[c, r, order[i], f] + 0
    return best + 0
}
function cell(k, p,    c, f, r, n, m, other, list, ratios, text) {
    c = case_of[k]; f = field[k]
    for (r = 1; r <= rounds; r++) {
        if (!has(c, r, p, f)) continue
        list[++n] = value[c, r, p, f] * scale_of[k]
        other = measure(c, r, p, f, to_of[k])
        if (other > 0) ratios[++m] = value[c, r, p, f] / other
    }
    if (!n) return ""
    text = sprintf("%." digits_of[k] "f", median(list, n))
    return m && (to_of[k] == "h" || p == "canaryd") ? text sprintf(" (%.2f)", median(ratios, m)) : text
}
END {
    head = "| case | aim |"; rule = "| --- | --- |"
    for (i = 1; i <= peers; i++) if (here[order[i]]) { head = head " " title[order[i]] " |"; rule = rule " --- |" }
    print head; print rule
    for (k = 1; k <= lines; k++) {
        if (!seen[case_of[k]]) continue
        row = "| " what_of[k] " | " aim_of[k] " |"
        for (i = 1; i <= peers; i++) if (here[order[i]]) row = row " " cell(k, order[i]) " |"
        print row
    }
    for (e in errors) if (errors[e] > 0) bad = bad (bad ? ", " : "") e " " errors[e]
    print "\n" (bad ? "Requests that failed: " bad "." : "No request failed.")
}
