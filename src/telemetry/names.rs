//! Every metric's name, in one place; `docs/metrics.md` explains them to operators.

/// Requests answered; labels `site`, `side`, `method` (folded), `code`.
pub const HTTP_REQUESTS_TOTAL: &str = "pointsman_http_requests_total";
/// From the head of the request to the end of the answer; label `site`.
pub const HTTP_REQUEST_DURATION_SECONDS: &str = "pointsman_http_request_duration_seconds";
/// Permits that are out; label `site`.
pub const HTTP_REQUESTS_IN_FLIGHT: &str = "pointsman_http_requests_in_flight";
/// Client connections that are open.
pub const HTTP_CONNECTIONS: &str = "pointsman_http_connections";
/// Client connections refused because the limit was reached.
pub const HTTP_CONNECTIONS_REFUSED_TOTAL: &str = "pointsman_http_connections_refused_total";
/// TLS handshakes with clients; label `result`.
pub const TLS_HANDSHAKES_TOTAL: &str = "pointsman_tls_handshakes_total";
/// Exchanges with an origin that failed; labels `site`, `side`, `reason`.
pub const UPSTREAM_ERRORS_TOTAL: &str = "pointsman_upstream_errors_total";
/// Connections made to origins; labels `site`, `side`.
pub const UPSTREAM_CONNECTS_TOTAL: &str = "pointsman_upstream_connects_total";
/// Connections that became tunnels (WebSocket); labels `site`, `side`.
pub const HTTP_TUNNELS_OPENED_TOTAL: &str = "pointsman_http_tunnels_opened_total";
/// Tunnels that are over; labels `site`, `side`, `reason`.
pub const HTTP_TUNNELS_CLOSED_TOTAL: &str = "pointsman_http_tunnels_closed_total";
/// Requests on hold; label `site`.
pub const HOLD_REQUESTS: &str = "pointsman_hold_requests";
/// Requests that left a hold without going on; labels `site`, `reason`.
pub const HOLD_EVICTED_TOTAL: &str = "pointsman_hold_evicted_total";
/// Writes let through although `access` forbids them to others; label `site`.
pub const ACCESS_BYPASS_WRITES_TOTAL: &str = "pointsman_access_bypass_writes_total";
/// Requests written to an origin of a closed lane: must stay 0; label `site`.
pub const STALE_EPOCH_REQUESTS_TOTAL: &str = "pointsman_stale_epoch_requests_total";
/// Requests that found their lane closed twice: must stay 0; label `site`.
pub const LANE_CLOSED_TWICE_TOTAL: &str = "pointsman_lane_closed_twice_total";

/// Flips ended; label `result`.
pub const FLIPS_TOTAL: &str = "pointsman_flips_total";
/// Time spent in each phase; label `phase`.
pub const FLIP_PHASE_SECONDS: &str = "pointsman_flip_phase_seconds";
/// Hooks that ended; labels `phase`, `result`.
pub const FLIP_HOOKS_TOTAL: &str = "pointsman_flip_hooks_total";
/// How long hooks ran; label `phase`.
pub const FLIP_HOOK_SECONDS: &str = "pointsman_flip_hook_seconds";
/// The epoch of the lane that serves; label `site`.
pub const SITE_EPOCH: &str = "pointsman_site_epoch";
/// 1 for the active side, 0 for the others; labels `site`, `side`.
pub const SITE_ACTIVE: &str = "pointsman_site_active";
/// 1 when the file asks for another side and no flip is on its way there; label `site`.
pub const SITE_DIVERGED: &str = "pointsman_site_diverged";
/// 1 while no origin of the active side accepts connections; labels `site`, `side`.
pub const SIDE_DOWN: &str = "pointsman_side_down";
/// Writes that a side has taken and another lacks; labels `site`, `from`, `to`.
pub const SIDE_UNCOPIED_WRITES: &str = "pointsman_side_uncopied_writes";
/// 1 while a copy onto a side was begun and has not succeeded; labels `site`, `side`.
pub const SIDE_TORN: &str = "pointsman_side_torn";
/// 1 while a side that does not serve does not behave so; labels `site`, `side`, `kind`.
pub const CONTRADICTION: &str = "pointsman_contradiction";
/// Leases of guarded jobs that are out; labels `site`, `state`.
pub const GUARD_LEASES: &str = "pointsman_guard_leases";
/// By how much a side is older than the active one, in numbers; labels `site`, `side`.
pub const FRESHNESS_LAG: &str = "pointsman_freshness_lag";
/// By how much a side is older than the active one; labels `site`, `side`.
pub const FRESHNESS_LAG_SECONDS: &str = "pointsman_freshness_lag_seconds";
/// How often the data of an active side went backwards; labels `site`, `side`.
pub const FRESHNESS_WENT_BACKWARDS_TOTAL: &str = "pointsman_freshness_went_backwards_total";
/// 1 when a check passed the last time; labels `site`, `side`, `check`.
pub const CHECK_OK: &str = "pointsman_check_ok";
/// Checks that are being made.
pub const CHECKS_IN_FLIGHT: &str = "pointsman_checks_in_flight";
/// 1 when the file on disk is what is served.
pub const TABLE_LAST_RELOAD_SUCCESSFUL: &str = "pointsman_table_last_reload_successful";
/// The last second of a certificate's validity, since the Unix epoch; label `cert`.
pub const CERT_EXPIRY_TIMESTAMP_SECONDS: &str = "pointsman_cert_expiry_timestamp_seconds";
/// 1 when the file of a certificate is what answers, 0 when it has a problem; label `cert`.
pub const CERT_LAST_RELOAD_SUCCESSFUL: &str = "pointsman_cert_last_reload_successful";
/// Counts the loaded tables.
pub const TABLE_GENERATION: &str = "pointsman_table_generation";

/// Queries received; label `transport`.
pub const DNS_REQUESTS_TOTAL: &str = "pointsman_dns_requests_total";
/// Answers sent; label `rcode`.
pub const DNS_RESPONSES_TOTAL: &str = "pointsman_dns_responses_total";
/// Packets dropped unanswered; label `reason`.
pub const DNS_DROPPED_TOTAL: &str = "pointsman_dns_dropped_total";
/// DNS connections that are open.
pub const DNS_TCP_CONNECTIONS: &str = "pointsman_dns_tcp_connections";
/// The serial that is published; label `zone`.
pub const DNS_ZONE_SERIAL: &str = "pointsman_dns_zone_serial";
/// Until nobody may use an address that direct names gave out; label `site`.
pub const DNS_ANSWER_LEASE_EXPIRY_SECONDS: &str = "pointsman_dns_answer_lease_expiry_seconds";

/// Requests and connections turned away at the admin listeners; label `reason`.
pub const ADMIN_REFUSED_TOTAL: &str = "pointsman_admin_refused_total";

/// Always 1; label `version`.
pub const BUILD_INFO: &str = "pointsman_build_info";
