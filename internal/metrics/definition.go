package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// namespace is what every name begins with.
const namespace = "fluent_credential"

// Kind is the type of a metric, in Prometheus's own words.
type Kind string

// The kinds.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// Definition is one metric as people are told of it; docs/metrics.md is made of these.
type Definition struct {
	Name     string
	Kind     Kind
	Labels   []string
	Meaning  string // the help text of the exposition
	Question string // that it answers
	Buckets  []float64
}

// object names a FluentCredential, or a FluentToken. Its series go with it.
var object = []string{"namespace", "name"}

// The definitions. Names, labels and meanings are stable: alerts and dashboards of others depend on them.
var (
	ready = Definition{Name: "ready", Kind: Gauge, Labels: object,
		Meaning:  "Whether workloads have a token that is valid now (condition Ready): 1 or 0.",
		Question: "Does anybody work without a token?"}
	renewable = Definition{Name: "renewable", Kind: Gauge, Labels: object,
		Meaning:  "Whether the next refresh is expected to work without a person (condition Renewable): 1 or 0.",
		Question: "Which tokens will run out although they are good now?"}
	stalled = Definition{Name: "stalled", Kind: Gauge, Labels: object,
		Meaning:  "Whether manual action is needed (condition Stalled): 1 or 0.",
		Question: "Where am I needed?"}
	reason = Definition{Name: "reason", Kind: Gauge, Labels: []string{"namespace", "name", "reason"},
		Meaning:  "Always 1; the reason of the condition Stalled or Reconciling where there is one, else the one that kubectl get shows.",
		Question: "Why is it as it is?"}
	class = Definition{Name: "failing", Kind: Gauge, Labels: []string{"namespace", "name", "class"},
		Meaning: "Always 1; the class of the failure that a credential has now, no series where it has none. " +
			"Time: it passes by itself; " +
			"Input: an object or a flag has to change; Person: nothing is tried until a person acts.",
		Question: "Does it pass by itself, or does it wait for somebody?"}
	expiration = Definition{Name: "token_expiration_timestamp_seconds", Kind: Gauge, Labels: object,
		Meaning:  "When the newest access token expires, in seconds since 1970.",
		Question: "How long do workloads still have?"}
	nextRefresh = Definition{Name: "token_next_refresh_timestamp_seconds", Kind: Gauge, Labels: object,
		Meaning:  "When the token is due for a refresh, in seconds since 1970.",
		Question: "When is the next exchange, and is one overdue?"}
	failures = Definition{Name: "failures", Kind: Gauge, Labels: object,
		Meaning:  "Failed exchanges in a row since the last one that succeeded.",
		Question: "Is it a hiccup or an outage?"}
	retry = Definition{Name: "retry_timestamp_seconds", Kind: Gauge, Labels: object,
		Meaning:  "When an exchange that failed is tried again (back-off), in seconds since 1970; none where nothing is backing off.",
		Question: "When does it try again?"}
	barred = Definition{Name: "login_barred_until_timestamp_seconds", Kind: Gauge, Labels: object,
		Meaning:  "Until when the login guard tries no refused login again, in seconds since 1970; none where the login is not barred.",
		Question: "Which logins are held back, so that nothing locks them?"}
	replyLost = Definition{Name: "reply_lost_timestamp_seconds", Kind: Gauge, Labels: object,
		Meaning: "When a refresh token or a code was last sent whose reply never came, in seconds since 1970; none where that is none " +
			"of the last ten exchanges.",
		Question: "Which chain may be broken?"}
	exchanges = Definition{Name: "exchanges_total", Kind: Counter, Labels: []string{"api", "grant", "verdict"},
		Meaning:  "Exchanges with the token endpoint, by API, grant and verdict.",
		Question: "Does an API fail, and for which grant?"}
	duration = Definition{Name: "exchange_duration_seconds", Kind: Histogram, Labels: []string{"api", "grant"},
		Meaning:  "From before the request was sent to the whole reply read, by API and grant.",
		Question: "Is an API slow?",
		Buckets:  prometheus.ExponentialBuckets(0.005, 2, 13)}
	published = Definition{Name: "reply_to_published_seconds", Kind: Histogram,
		Meaning:  "From the reply read to the workload Secret written; an API that kills the old token at refresh makes this an outage.",
		Question: "How long is a dead token still published?",
		Buckets:  prometheus.ExponentialBuckets(0.002, 2, 14)}
	lifeLeft = Definition{Name: "life_left_at_publication_seconds", Kind: Histogram,
		Meaning:  "Life that the token before still had when its successor was published; 0 where it had expired.",
		Question: "How close to expiry does it come?",
		Buckets:  []float64{0, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600}}
	commits = Definition{Name: "commit_retries_total", Kind: Counter,
		Meaning:  "Writes of a received token to its state Secret that had to be made again.",
		Question: "Is the only copy of a token in the operator, because the Kubernetes API is away?"}
	recovered = Definition{Name: "claims_recovered_total", Kind: Counter, Labels: []string{"how"},
		Meaning:  "Claims whose process was gone, by how they were recovered: journal (its reply was found), unsent (it proves that nothing was sent), or lost.",
		Question: "What did the last crash cost?"}
	entries = Definition{Name: "journal_entries", Kind: Gauge,
		Meaning:  "Files in the journal: exchanges in flight, and replies that are not stored in the cluster yet. NaN: it cannot be read.",
		Question: "Are there replies that only the disk has?"}
	kept = Definition{Name: "journal_kept_entries", Kind: Gauge,
		Meaning: "Files in the journal that are kept although their result is stored: granted replies that could not be understood. " +
			"Another version of the operator may find the token in them.",
		Question: "Does an API grant something that this version cannot read?"}
	journal = Definition{Name: "journal_errors_total", Kind: Counter, Labels: []string{"kind"},
		Meaning: "Failures of the journal. reserve, write, read, remove: an operation failed; " +
			"quota: the replies of a namespace take its share, so nothing of it is spent; dropped: a kept reply made place for a newer one; " +
			"foreign, otherkey, unsealed, unbegun, damaged: a file cannot be used; stale: nobody waits for the reply in it any more.",
		Question: "Does the journal do what it is there for?"}
	guard = Definition{Name: "login_guard_decisions_total", Kind: Counter, Labels: []string{"decision"},
		Meaning: "Logins by password or seed that the login guard was asked for: Allowed; Rejected (these credentials were refused before), " +
			"Exhausted (two logins of this user were refused within 20 minutes), Paced (one FluentCredential came with too many logins), " +
			"InUse (another FluentCredential has this login), " +
			"Spent (another one, which is gone, spent this seed), Damaged (what it knew of the login cannot be read: a full budget).",
		Question: "Does the guard hold logins back?"}
	revocations = Definition{Name: "revocations_total", Kind: Counter, Labels: []string{"api", "result"},
		Meaning:  "Refresh tokens of deleted credentials, by API and by what became of them: revoked, failed, or kept (docs/providers.md#revocation).",
		Question: "Do tokens outlive their credentials?"}
	nudges = Definition{Name: "nudges_total", Kind: Counter, Labels: []string{"result"},
		Meaning:  "Touches of pods that mount a workload Secret, by result: done, gone, forbidden, failed, dropped.",
		Question: "Do mounted files follow at once?"}
	restarts = Definition{Name: "restarts_total", Kind: Counter, Labels: []string{"result"},
		Meaning:  "Restarts of workloads because their token changed, by result: done, gone, forbidden, failed.",
		Question: "Do consumers of environment variables get the new token?"}
	consumerReady = Definition{Name: "consumer_ready", Kind: Gauge, Labels: object,
		Meaning:  "Whether the Secret of a FluentToken holds a token that is valid now (its condition Ready): 1 or 0.",
		Question: "Which namespace works without the token that it asks for?"}
	distributions = Definition{Name: "distributions_total", Kind: Counter, Labels: []string{"result"},
		Meaning:  "Publications for FluentTokens, by result: done or failed.",
		Question: "Does a namespace refuse what it asks for?"}
	distributed = Definition{Name: "reply_to_distributed_seconds", Kind: Histogram,
		Meaning:  "From the reply read to the last Secret of a FluentToken written; those that failed are not waited for.",
		Question: "How long is a dead token still published in other namespaces?",
		Buckets:  prometheus.ExponentialBuckets(0.004, 2, 14)}
	policyEnforced = Definition{Name: "admission_policy_enforced", Kind: Gauge, Labels: []string{"policy"},
		Meaning: "Whether an admission policy of the installation was in force when the operator started: 1 or 0; " +
			"no series where the operator may not look.",
		Question: "Is something missing that keeps authors and the operator to their rights?"}
	build = Definition{Name: "build_info", Kind: Gauge, Labels: []string{"version", "goversion"},
		Meaning:  "Always 1; the version of the operator, and of Go that it was built with.",
		Question: "Is it there, and which version runs?"}
)

// Definitions are all metrics, in the order in which people read them.
func Definitions() []Definition {
	all := []Definition{
		ready, renewable, stalled, reason, class, expiration, nextRefresh, failures, retry, barred, replyLost,
		exchanges, duration, published, lifeLeft, commits, recovered, entries, kept, journal, guard, revocations, nudges, restarts,
		consumerReady, distributions, distributed, policyEnforced, build,
	}
	for i := range all {
		all[i].Name = namespace + "_" + all[i].Name
		all[i].Labels = slices.Clone(all[i].Labels)
	}
	return all
}

func (d Definition) gauge() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: d.Name, Help: d.Meaning}, d.Labels)
}

func (d Definition) counter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: d.Name, Help: d.Meaning}, d.Labels)
}

func (d Definition) histogram() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: d.Name, Help: d.Meaning, Buckets: d.Buckets,
	}, d.Labels)
}
