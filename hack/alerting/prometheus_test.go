package alerting

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fluent-credential/operator/hack/localcluster"
)

// answer is what Prometheus's API says.
type answer[T any] struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   T      `json:"data"`
}

// ask reads from Prometheus's API.
func ask[T any](t *testing.T, at *localcluster.Prometheus, path string, parameters url.Values) T {
	t.Helper()
	body, err := localcluster.Get(t.Context(), at.URL+"/api/v1/"+path+"?"+parameters.Encode())
	if err != nil {
		t.Fatalf("Prometheus, %s %v: %v\n%s", path, parameters, err, at.LastLines(5))
	}
	var read answer[T]
	if err := json.Unmarshal(body, &read); err != nil || read.Status != "success" {
		t.Fatalf("Prometheus, %s %v: %v %s", path, parameters, err, body)
	}
	return read.Data
}

// series is one series of a query's result.
type series struct {
	Labels map[string]string `json:"metric"`
	Points []point           `json:"values"`
	Last   point             `json:"value"`
}

// UnmarshalJSON reads the pair of a time in seconds and a value in a string.
func (p *point) UnmarshalJSON(text []byte) error {
	var pair [2]any
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	seconds, isNumber := pair[0].(float64)
	value, isText := pair[1].(string)
	if !isNumber || !isText {
		return fmt.Errorf("%s is no sample", text)
	}
	parsed, err := strconv.ParseFloat(value, 64)
	*p = point{At: time.UnixMilli(int64(seconds * 1000)), Value: parsed}
	return err
}

type result struct {
	Result []series `json:"result"`
}

// now runs a query.
func now(t *testing.T, at *localcluster.Prometheus, query string) []series {
	t.Helper()
	return ask[result](t, at, "query", url.Values{"query": {query}}).Result
}

// since runs a query over the time from then until now.
func since(t *testing.T, at *localcluster.Prometheus, query string, then time.Time) []series {
	t.Helper()
	end := time.Now()
	return ask[result](t, at, "query_range", url.Values{
		"query": {query}, "start": {stamp(then)}, "end": {stamp(end)}, "step": {"1s"},
	}).Result
}

func stamp(at time.Time) string { return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64) }

// active is an alert as people are told of it.
type active struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"`
}

// alerts are those that fire now.
func alerts(t *testing.T, at *localcluster.Prometheus) []active {
	t.Helper()
	all := ask[struct{ Alerts []active }](t, at, "alerts", nil).Alerts
	return slices.DeleteFunc(all, func(one active) bool { return one.State != "firing" })
}

// firing are the names of the alerts that fire now, each with whom it is about.
func firing(t *testing.T, at *localcluster.Prometheus) map[string][]string {
	t.Helper()
	fires := map[string][]string{}
	for _, alert := range alerts(t, at) {
		about := strings.Trim(alert.Labels["namespace"]+"/"+alert.Labels["name"], "/") + alert.Labels["api"] + alert.Labels["instance"]
		fires[alert.Labels["alertname"]] = append(fires[alert.Labels["alertname"]], about)
	}
	return fires
}
