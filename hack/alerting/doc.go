// Package alerting tests the alerts of config/prometheus and the dashboards of config/grafana: with promtool, and with a real
// Prometheus that scrapes the real operator through a staged outage. "make alerts-test" and "make alerts-e2e" call it.
package alerting
