package plan

import "time"

// The rules from the point where something may be spent.

// login gives the credential a password and takes its refresh token away.
func login(o *Observed) { o.Login, o.Chain = Login{Password: true}, Chain{} }

var refusing = map[string]decision{
	"a refused client": {
		why:  "only a change of the login helps, and that is noticed by itself",
		seen: func(o *Observed) { o.Failure = &Failure{}; due(o) },
		want: Step{Do: Wait, Why: Refused, At: in(10 * time.Minute)},
	},
	"a refused client, no token": {
		why:  "nothing changes with time",
		seen: func(o *Observed) { o.Failure, o.Token = &Failure{}, nil },
		want: Step{Do: Wait, Why: Refused},
	},
	"a refused client, asked for": {
		why:  "the rotate annotation buys one try: the API may have been mended",
		seen: func(o *Observed) { o.Failure, o.Rotate = &Failure{}, true },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"a refused client, probed": {
		why:  "its configuration at the API can change out of sight",
		seen: func(o *Observed) { o.Failure = &Failure{RetryAt: in(5 * time.Minute)}; due(o) },
		want: Step{Do: Wait, Why: BackingOff, At: in(5 * time.Minute)},
	},
	"a refused client, stalled": {
		why:  "a person is asked, and it is still probed",
		seen: func(o *Observed) { o.Failure = &Failure{RetryAt: in(time.Hour), Stalled: true}; due(o) },
		want: Step{Do: Wait, Why: Refused, At: in(10 * time.Minute)},
	},
	"a refused client, the probe is due": {
		why:  "nothing waits for ever",
		seen: func(o *Observed) { o.Failure = &Failure{RetryAt: now, Stalled: true}; due(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"a refused client, stalled, asked for": {
		why:  "the rotate annotation goes past a probe's time",
		seen: func(o *Observed) { o.Failure, o.Rotate = &Failure{RetryAt: in(time.Hour), Stalled: true}, true },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"a budget of logins that is used up": {
		why: "it fills again by itself, and not even a person can hurry it",
		seen: func(o *Observed) {
			o.Failure, o.Token = &Failure{RetryAt: in(LoginBar), Barred: true}, nil
			o.Rotate = true
			login(o)
		},
		want: Step{Do: Wait, Why: BackingOff, At: in(LoginBar)},
	},
	"a refused seed": {
		why:  "a seed whose client was refused is still unspent, and asking again with the same login is a loop",
		seen: func(o *Observed) { *o = Observed{Registered: true, Failure: &Failure{}, Login: Login{Seed: true}} },
		want: Step{Do: Wait, Why: Refused},
	},
	"a refused login": {
		why: "two more of the same would lock the user",
		seen: func(o *Observed) {
			o.Failure = &Failure{RetryAt: in(LoginBar), Barred: true, Stalled: true}
			login(o)
			due(o)
		},
		want: Step{Do: Wait, Why: Refused, At: in(10 * time.Minute)},
	},
	"a refused login, no token": {
		why: "it is tried again when the bar is lifted",
		seen: func(o *Observed) {
			o.Failure, o.Token = &Failure{RetryAt: in(LoginBar), Barred: true, Stalled: true}, nil
			login(o)
		},
		want: Step{Do: Wait, Why: Refused, At: in(LoginBar)},
	},
	"a refused login, asked for": {
		why: "the rotate annotation goes past a back-off, never past a refused login",
		seen: func(o *Observed) {
			o.Failure, o.Rotate = &Failure{RetryAt: in(LoginBar), Barred: true, Stalled: true}, true
			login(o)
		},
		want: Step{Do: Wait, Why: Refused, At: in(LoginBar)},
	},
	"a refused login, the bar lifted": {
		why:  "one more try shows whether the lock is over",
		seen: func(o *Observed) { o.Failure = &Failure{RetryAt: now, Barred: true, Stalled: true}; login(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByPassword},
	},
}

var settling = map[string]decision{
	"nothing due": {
		why:  "a good token is left alone until it is due",
		seen: func(*Observed) {},
		want: Step{Do: Wait, Why: NotDue, At: in(9 * time.Minute)},
	},
	"nothing due, no means": {
		why:  "a token that lives needs no login yet; the status warns all the same",
		seen: func(o *Observed) { o.Chain = Chain{} },
		want: Step{Do: Wait, Why: NotDue, At: in(9 * time.Minute)},
	},
	"nothing due, a busy host": {
		why:  "there is nothing to ask the host for",
		seen: func(o *Observed) { o.HostFree = in(time.Second) },
		want: Step{Do: Wait, Why: NotDue, At: in(9 * time.Minute)},
	},
	"due a second after expiry": {
		why:  "expires_in counts whole seconds: for that one second the expiry is not worth a pass of its own",
		seen: func(o *Observed) { o.Token.Refresh = o.Token.Expires.Add(secondsFraction) },
		want: Step{Do: Wait, Why: NotDue, At: in(20*time.Minute + time.Second)},
	},
	"due long after expiry": {
		why:  "the conditions change at the expiry",
		seen: func(o *Observed) { o.Token.Refresh = o.Token.Expires.Add(30 * time.Second) },
		want: Step{Do: Wait, Why: NotDue, At: in(20 * time.Minute)},
	},
	"expired, not due": {
		why:  "the API keeps giving a token without life: it is asked at a growing pace",
		seen: func(o *Observed) { o.Token.Expires, o.Token.Refresh = now, in(8*time.Second) },
		want: Step{Do: Wait, Why: NotDue, At: in(8 * time.Second)},
	},
	"due": {
		why:  "at its refresh time a token is due",
		seen: func(o *Observed) { o.Token.Refresh = now },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"asked for": {
		why:  "the rotate annotation asks for a new token now",
		seen: func(o *Observed) { o.Rotate = true },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"a new seed": {
		why:  "a person put a new refresh token there to be used, not to age",
		seen: func(o *Observed) { o.Login.Seed = true },
		want: Step{Do: Exchange, Why: Due, Means: BySeed},
	},
	"another login": {
		why:  "a token of another endpoint, client, user or scope is not what the spec asks for",
		seen: func(o *Observed) { o.Token.Stale, o.Login.Password = true, true },
		want: Step{Do: Exchange, Why: Due, Means: ByPassword},
	},
	"a clock that was set back": {
		why:  "a token of tomorrow expires before it says so: how much of its life is left cannot be told",
		seen: func(o *Observed) { o.Token.Obtained, o.Token.Refresh = in(23*time.Hour), in(24*time.Hour) },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"another replica's clock": {
		why:  "two clocks are never quite the same",
		seen: func(o *Observed) { o.Token.Obtained = in(10 * time.Second) },
		want: Step{Do: Wait, Why: NotDue, At: in(9 * time.Minute)},
	},
	"a failed early try": {
		why:  "what was tried once is tried again when the back-off ends, due or not",
		seen: func(o *Observed) { o.Failure = &Failure{RetryAt: now} },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
}

var stranding = map[string]decision{
	"nothing left": {
		why:  "without a refresh token and a login only a person helps",
		seen: func(o *Observed) { o.Chain = Chain{}; due(o) },
		want: Step{Do: Wait, Why: NoMeans, At: in(10 * time.Minute)},
	},
	"nothing left, no token": {
		why:  "and nothing changes with time",
		seen: func(o *Observed) { o.Chain, o.Token = Chain{}, nil },
		want: Step{Do: Wait, Why: NoMeans},
	},
	"another login that has no means": {
		why:  "the stored refresh token belongs to the other one",
		seen: func(o *Observed) { o.Token.Stale = true },
		want: Step{Do: Wait, Why: NoMeans, At: in(20 * time.Minute)},
	},
	"before a back-off": {
		why:  "who waits for a person must say so, and not that it will try again",
		seen: func(o *Observed) { o.Chain, o.Failure = Chain{}, &Failure{RetryAt: in(time.Minute)} },
		want: Step{Do: Wait, Why: NoMeans, At: in(20 * time.Minute)},
	},
	"before a busy host": {
		why:  "a condition must not change because other credentials use the same host",
		seen: func(o *Observed) { o.Chain, o.HostFree = Chain{}, in(time.Second); due(o) },
		want: Step{Do: Wait, Why: NoMeans, At: in(10 * time.Minute)},
	},
	"a lost reply, Stop": {
		why:  "a person is asked at once, not after a back-off that leads to nothing",
		seen: func(o *Observed) { lost(Stop)(o); o.Failure = &Failure{RetryAt: in(time.Minute)} },
		want: Step{Do: Wait, Why: Stopped, At: in(10 * time.Minute)},
	},
	"a lost reply, late": {
		why:  "it is known already that the token is presented late",
		seen: func(o *Observed) { lost(Auto)(o); o.Failure = &Failure{RetryAt: in(time.Minute)} },
		want: Step{Do: Wait, Why: ReplyLost, At: in(9 * time.Minute)},
	},
	"a lost reply, late, backing off": {
		why: "the back-off holds for the late presentation too",
		seen: func(o *Observed) {
			lost(Auto)(o)
			o.Token.Expires, o.Failure = in(time.Minute), &Failure{RetryAt: in(time.Second)}
		},
		want: Step{Do: Wait, Why: BackingOff, At: in(time.Second)},
	},
}

var backingOff = map[string]decision{
	"an API that is down": {
		why:  "the back-off is stored, so a restart makes no call either",
		seen: func(o *Observed) { o.Failure = &Failure{RetryAt: in(time.Minute)}; due(o) },
		want: Step{Do: Wait, Why: BackingOff, At: in(time.Minute)},
	},
	"until after expiry": {
		why:  "the conditions change at the expiry",
		seen: func(o *Observed) { o.Failure = &Failure{RetryAt: in(15 * time.Minute)}; due(o) },
		want: Step{Do: Wait, Why: BackingOff, At: in(10 * time.Minute)},
	},
	"no token yet": {
		why:  "the first token is no reason to hurry either",
		seen: func(o *Observed) { o.Failure, o.Token = &Failure{RetryAt: in(time.Minute)}, nil },
		want: Step{Do: Wait, Why: BackingOff, At: in(time.Minute)},
	},
	"a seed that could not be sent": {
		why:  "a seed waits like any other means",
		seen: func(o *Observed) { o.Failure, o.Login.Seed = &Failure{RetryAt: in(time.Minute)}, true },
		want: Step{Do: Wait, Why: BackingOff, At: in(time.Minute)},
	},
	"asked for": {
		why:  "the rotate annotation goes past a back-off",
		seen: func(o *Observed) { o.Failure, o.Rotate = &Failure{RetryAt: in(time.Minute)}, true },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"over": {
		why:  "at its end a back-off is over",
		seen: func(o *Observed) { o.Failure = &Failure{RetryAt: now}; due(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
}

var queueing = map[string]decision{
	"a busy host": {
		why:  "the host's turn comes before ours",
		seen: func(o *Observed) { o.HostFree = in(2 * time.Second); due(o) },
		want: Step{Do: Wait, Why: HostBusy, At: in(2 * time.Second)},
	},
	"a busy host, past expiry": {
		why:  "the conditions change at the expiry",
		seen: func(o *Observed) { o.HostFree = in(time.Minute); due(o); o.Token.Expires = in(time.Second) },
		want: Step{Do: Wait, Why: HostBusy, At: in(time.Second)},
	},
	"asked for": {
		why:  "the host's limit is not ours to pass",
		seen: func(o *Observed) { o.HostFree, o.Rotate = in(2*time.Second), true },
		want: Step{Do: Wait, Why: HostBusy, At: in(2 * time.Second)},
	},
	"free": {
		why:  "at its turn the host is free",
		seen: func(o *Observed) { o.HostFree = now; due(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
}

var spending = map[string]decision{
	"the stored refresh token": {
		why:  "a chain goes on before a new one is begun",
		seen: func(o *Observed) { o.Login = Login{Password: true, Client: true}; due(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
	"a seed": {
		why:  "a person obtained it after the chain",
		seen: func(o *Observed) { o.Login = Login{Seed: true, Password: true, Client: true}; due(o) },
		want: Step{Do: Exchange, Why: Due, Means: BySeed},
	},
	"a refresh token of another origin": {
		why:  "who may change the spec must not have it sent elsewhere",
		seen: func(o *Observed) { due(o); o.Chain.Stored, o.Chain.Foreign = true, true },
		want: Step{Do: Wait, Why: NoMeans, At: in(10 * time.Minute)},
	},
	"a doubtful refresh token of another origin": {
		why: "not even for the one more time that onLostReply grants",
		seen: func(o *Observed) {
			due(o)
			o.Chain, o.OnLostReply = Chain{Stored: true, Presented: 1, Foreign: true}, Retry
		},
		want: Step{Do: Wait, Why: NoMeans, At: in(10 * time.Minute)},
	},
	"a refresh token of another origin, and a login": {
		why:  "a login begins a family of the new origin",
		seen: func(o *Observed) { due(o); o.Chain.Stored, o.Chain.Foreign, o.Login.Password = true, true, true },
		want: Step{Do: Exchange, Why: Due, Means: ByPassword},
	},
	"a seed beside a doubtful chain": {
		why:  "that is how a person answers a lost reply, whatever the policy",
		seen: func(o *Observed) { lost(Stop)(o); o.Login.Seed = true },
		want: Step{Do: Exchange, Why: Due, Means: BySeed},
	},
	"a password": {
		why:  "there is no refresh token",
		seen: func(o *Observed) { o.Login, o.Chain = Login{Password: true, Client: true}, Chain{}; due(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByPassword},
	},
	"a client": {
		why:  "there is neither a refresh token nor a password",
		seen: func(o *Observed) { o.Login, o.Chain = Login{Client: true}, Chain{}; due(o) },
		want: Step{Do: Exchange, Why: Due, Means: ByClient},
	},
	"the first token": {
		why:  "there is none yet",
		seen: func(o *Observed) { *o = Observed{Registered: true, Login: Login{Password: true}} },
		want: Step{Do: Exchange, Why: Due, Means: ByPassword},
	},
	"a doubtful chain that has no token": {
		why:  "there is no life left to wait for: the late moment is now",
		seen: func(o *Observed) { lost(Auto)(o); o.Token = nil },
		want: Step{Do: Exchange, Why: Due, Means: ByRefresh},
	},
}
