// Package web is the one HTTP handler of tarsd: the page, /mqtt (WebSocket), /camera/stream and
// /camera/snapshot, /metrics, /healthz and /readyz, and the server that runs it. It owns routes,
// limits and security headers; what stands behind a route is handed in as a handler or a function,
// so the package imports nothing of ours.
package web
