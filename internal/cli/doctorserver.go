package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
)

// maxSkew is how far two clocks may be apart. A Date has whole seconds, so one second more means nothing; a token's life is counted
// in minutes.
const maxSkew = 5 * time.Second

// examineServer asks the API server for its version and its time.
func (v *examination) examineServer(ctx context.Context) error {
	v.about("server")
	config, err := v.config()
	if err != nil {
		return err
	}
	asked := v.now()
	said, date, err := versionOf(ctx, config)
	if err != nil {
		return err
	}
	v.ok("Kubernetes %s", said.GitVersion)
	v.about("clock")
	v.serverTime = v.now()
	if date.IsZero() {
		v.skip("the API server tells no time")
		return nil
	}
	// The server wrote its Date somewhere between asking and hearing: the clocks differ by what no moment in between explains.
	skew := apart(date, asked, v.serverTime)
	v.serverTime = date
	if skew > maxSkew || skew < -maxSkew {
		v.warn("Set this machine's clock (NTP): times that these commands tell are wrong by as much.",
			"this machine's clock is %s the API server's", aheadOrBehind(-skew))
		return nil
	}
	v.ok("this machine and the API server agree")
	return nil
}

// apart is how far a time of whole seconds is outside of a span; zero: it may be inside.
func apart(date, from, to time.Time) time.Duration {
	switch {
	case date.Add(time.Second).Before(from):
		return date.Add(time.Second).Sub(from)
	case date.After(to):
		return date.Sub(to)
	}
	return 0
}

func aheadOrBehind(skew time.Duration) string {
	if skew < 0 {
		return fmt.Sprintf("%s behind", (-skew).Round(time.Second))
	}
	return fmt.Sprintf("%s ahead of", skew.Round(time.Second))
}

// versionOf reads /version, whose reply carries the API server's Date too.
func versionOf(ctx context.Context, config *rest.Config) (version.Info, time.Time, error) {
	var said version.Info
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return said, time.Time{}, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return said, time.Time{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("version").String(), nil)
	if err != nil {
		return said, time.Time{}, err
	}
	reply, err := client.Do(request)
	if err != nil {
		return said, time.Time{}, err
	}
	defer reply.Body.Close()
	switch reply.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return said, time.Time{}, apierrors.NewUnauthorized("the API server answers /version with " + reply.Status)
	default:
		return said, time.Time{}, fmt.Errorf("the API server answers /version with %s", reply.Status)
	}
	date, _ := http.ParseTime(reply.Header.Get("Date"))
	return said, date, json.NewDecoder(io.LimitReader(reply.Body, 1<<20)).Decode(&said)
}
