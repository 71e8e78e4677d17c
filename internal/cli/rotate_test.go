package cli

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

func TestRotateWaits(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	startOperator(t, namespace)
	create(t, loginSecret(namespace, "orders-login", fullLogin()))
	cred := credential(namespace, "orders", sim.URL)
	create(t, cred)
	eventually(t, cred, "ready", isReady)
	for serial := range 3 {
		got := must(t, 0, "", "rotate", "orders", "-n", namespace, "--wait")
		contains(t, got.out, "fluentcredential.auth.fluent-credential.dev/orders rotation asked for", fmt.Sprintf("rotated: token %d, valid until ", serial+2))
		if now := serialOf(reread(t, cred)); now != int64(serial+2) {
			t.Errorf("the command ended at serial %d, want %d", now, serial+2)
		}
	}
	if ledger := sim.Ledger(); ledger.RefreshGrants != 3 || ledger.Reuses != 0 {
		t.Errorf("%d refreshes and %d reuses, want 3 and 0", ledger.RefreshGrants, ledger.Reuses)
	}
}

func TestRotateManyAtOnce(t *testing.T) {
	t.Parallel()
	const count = 3
	sim, namespace := newServer(t, func(config *authsim.Config) {
		for i := range count {
			config.Users = append(config.Users, authsim.User{Username: fmt.Sprintf("%s-%d", user, i), Password: password})
		}
	}), newNamespace(t)
	startOperator(t, namespace)
	var creds []*v1alpha1.FluentCredential
	for i := range count {
		login := fullLogin()
		login["username"] = fmt.Sprintf("%s-%d", user, i)
		cred := credential(namespace, fmt.Sprintf("orders-%d", i), sim.URL)
		create(t, loginSecret(namespace, cred.Name+"-login", login))
		create(t, cred)
		creds = append(creds, cred)
	}
	for _, cred := range creds {
		eventually(t, cred, "ready", isReady)
	}
	got := must(t, 0, "", "rotate", "-n", namespace, "-l", "team=orders", "--wait")
	if told := strings.Count(got.out, "rotated: token 2"); told != count {
		t.Errorf("%d of %d are told as rotated\n%s", told, count, got.out)
	}
	must(t, 0, "", "rotate", "-n", namespace, "--all", "--wait")
	for _, cred := range creds {
		if serial := serialOf(reread(t, cred)); serial != 3 {
			t.Errorf("%s has serial %d, want 3", cred.Name, serial)
		}
	}
}

// TestRotateTellsWhyNot: the API refuses the refresh token, and there is no password to log in with.
func TestRotateTellsWhyNot(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	startOperator(t, namespace)
	login := clientAlone()
	login["refresh_token"] = sim.Seed(user, clientID)
	create(t, loginSecret(namespace, "orders-login", login))
	cred := credential(namespace, "orders", sim.URL)
	create(t, cred)
	eventually(t, cred, "ready", isReady)
	sim.AddFault(authsim.Fault{Kind: authsim.FaultRefuse, Times: 1})
	got := must(t, exitRefused, "", "rotate", "orders", "-n", namespace, "--wait")
	contains(t, got.err, v1alpha1.ReasonReauthorizationRequired, "kubectl fluent login orders -n "+namespace)
}

func TestRotateWithoutAnOperator(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	cred := scenes["fine"].stage(t, namespace, "orders")
	must(t, 0, "", "rotate", "fcred/orders", "-n", namespace)
	first := reread(t, cred).Rotate()
	if first == "" {
		t.Error("the annotation was not set")
	}
	got := must(t, exitTimeout, "", "rotate", "orders", "-n", namespace, "--wait", "--timeout", "1s")
	contains(t, got.err, "waiting for the operator", "not done after 1s: "+namespace+"/orders")
	if reread(t, cred).Rotate() == first {
		t.Error("the second request looks like the first: nobody would act on it")
	}
}

func TestRotateRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	scenes["fine"].stage(t, namespace, "fine")
	sleeping := scenes["suspended"].stage(t, namespace, "suspended")
	contains(t, must(t, exitRefused, "", "rotate", "suspended", "-n", namespace).err, "kubectl fluent resume suspended -n "+namespace)
	if reread(t, sleeping).Rotate() != "" {
		t.Error("a suspended credential was asked all the same")
	}
	some := must(t, 0, "", "rotate", "--all", "-n", namespace)
	contains(t, some.out, "/fine rotation asked for")
	contains(t, some.err, "/suspended is suspended, and left out")
	if reread(t, sleeping).Rotate() != "" {
		t.Error("a suspended credential was asked with the others")
	}
	fine := &v1alpha1.FluentCredential{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "fine"}}
	remove(t, fine)
	contains(t, must(t, exitRefused, "", "rotate", "--all", "-n", namespace).err, "all of them are suspended")
	must(t, exitUsage, "", "rotate", "-n", namespace)
	must(t, exitUsage, "", "rotate", "fine", "--all", "-n", namespace)
	must(t, exitUsage, "", "rotate", "fine", "-A")
	must(t, exitUsage, "", "rotate", "secret/fine", "-n", namespace)
	contains(t, must(t, exitFailed, "", "rotate", "-l", "team=nobody", "-n", namespace).err, "no FluentCredential matches")
}

func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	sim, namespace := newServer(t, nil), newNamespace(t)
	startOperator(t, namespace)
	create(t, loginSecret(namespace, "orders-login", fullLogin()))
	cred := credential(namespace, "orders", sim.URL)
	create(t, cred)
	eventually(t, cred, "ready", isReady)

	contains(t, must(t, 0, "", "suspend", "orders", "-n", namespace).out, "/orders suspended")
	eventually(t, cred, "suspended", hasReason(v1alpha1.ReasonSuspended))
	contains(t, must(t, 0, "", "suspend", "--all", "-n", namespace).out, "/orders suspended already")
	contains(t, must(t, 0, "", "list", "-n", namespace).out, "Suspended")
	contains(t, must(t, 0, "", "resume", "-l", "team=orders", "-n", namespace).out, "/orders resumed")
	eventually(t, cred, "going on", hasReason(v1alpha1.ReasonTokenPublished))
	must(t, exitUsage, "", "suspend", "-n", namespace)
	must(t, exitFailed, "", "resume", "nothing", "-n", namespace)
}
