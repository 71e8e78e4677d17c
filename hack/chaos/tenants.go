package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/hack/authsim"
)

// tenancy is how much is played.
type tenancy struct {
	kinds         []poison
	poisoned      int           // objects of each kind
	before, after time.Duration // how long the good credentials are watched, before and after the restart
}

// poisonedTenants are good credentials beside poisoned objects of every kind and, on demand, beside one kind.
func poisonedTenants(quick bool) []scenario {
	good, life := 200, time.Minute
	play := tenancy{kinds: poisons(quick), poisoned: 24, before: time.Minute, after: 10 * time.Second}
	if quick {
		good, life = 20, 30*time.Second
		play.poisoned, play.before, play.after = 6, 30*time.Second, 5*time.Second
	}
	beside := func(name string, kinds []poison) scenario {
		play := play
		play.kinds = kinds
		return scenario{
			name: name, quick: true, alone: true, most: 12 * time.Minute, run: play.run,
			setting: setting{
				installed: true, credentials: good, namespaces: 5, life: life,
				tenant: func(config *authsim.Config) { config.KillOnRefresh = false },
			},
		}
	}
	all := fmt.Sprintf("%d good credentials beside %d poisoned objects of each kind", good, play.poisoned)
	cases := []scenario{beside(all, play.kinds)}
	for _, kind := range play.kinds {
		one := beside("beside kind "+kind.kind, []poison{kind})
		one.onDemand = true
		cases = append(cases, one)
	}
	return cases
}

func (p tenancy) run(ctx context.Context, s *stage) error {
	limits, err := readLimits()
	if err != nil {
		return err
	}
	watch := newReadiness(s, limits)
	s.atEnd(watch.start(ctx))
	tenants, host, err := s.newTenants(p)
	if err != nil {
		return err
	}
	if err := s.poisonAll(ctx, tenants); err != nil {
		return err
	}
	s.say("all poisoned objects are there")
	editing, stop := context.WithCancel(ctx)
	defer stop()
	for _, each := range tenants {
		go each.editAll(editing)
	}
	pause(ctx, p.before)
	if !s.replicas[0].isAlive() {
		return s.replicas[0].current().Ended()
	}
	for _, each := range tenants {
		if err := each.judge(ctx); err != nil {
			return err
		}
	}
	s.judgeServed()
	s.judgeMemory("before the restart", limits)
	watch.suspended(func() { s.restartInTime(ctx, limits) })
	pause(ctx, p.after)
	s.judgePace()
	host.judge(s)
	s.judgeMemory("after the restart", limits)
	watch.judge()
	return nil
}

// tenant is the author of the poisoned objects of one kind.
type tenant struct {
	poison
	stage     *stage
	namespace string
	count     int
	urls      []string
	as        client.Client
	admitted  atomic.Int32 // what admission had to refuse and did not
}

func (s *stage) newTenants(p tenancy) (tenants []*tenant, host *hostile, err error) {
	host = s.newHostile()
	for i, kind := range p.kinds {
		t := &tenant{poison: kind, stage: s, namespace: s.namespace + "-" + kind.kind, count: p.poisoned}
		if kind.many != nil {
			t.count = kind.many(p.poisoned)
		}
		for n := range t.count {
			address := fmt.Sprintf("127.66.%d.1", i)
			if kind.ownHosts {
				address = fmt.Sprintf("127.66.%d.%d", i, n+1)
			}
			target, err := host.url(kind.kind, n, address)
			if err != nil {
				return nil, nil, err
			}
			t.urls = append(t.urls, target)
		}
		who := rest.CopyConfig(s.plant.config)
		who.Impersonate = rest.ImpersonationConfig{UserName: t.user(), Groups: []string{"system:authenticated"}}
		t.as, err = client.New(who, client.Options{Scheme: s.plant.admin.Scheme(), Mapper: s.plant.admin.RESTMapper()})
		if err != nil {
			return nil, nil, err
		}
		host.tenants[kind.kind] = t
		tenants = append(tenants, t)
	}
	return tenants, host, nil
}

func (t *tenant) user() string { return t.kind + "@tenant.example" }

func (s *stage) poisonAll(ctx context.Context, tenants []*tenant) error {
	return inParallel(ctx, len(tenants), func(ctx context.Context, i int) error {
		if err := tenants[i].plantAll(ctx); err != nil {
			return fmt.Errorf("%s: %w", tenants[i].kind, err)
		}
		return nil
	})
}

// plantAll creates the tenant's namespace, and everything in it as the tenant.
func (t *tenant) plantAll(ctx context.Context) error {
	if err := t.moveIn(ctx); err != nil {
		return err
	}
	create := func(object client.Object) error { return t.as.Create(ctx, object) }
	if err := t.each(t.secrets, create); err != nil {
		return err
	}
	if t.between != nil {
		if err := t.between(ctx, t); err != nil {
			return err
		}
	}
	return t.each(t.objects, func(object client.Object) error {
		err := create(object)
		switch {
		case !t.refused:
			return err
		case err == nil:
			t.admitted.Add(1)
			return nil
		case apierrors.IsInvalid(err) || strings.Contains(err.Error(), "ValidatingAdmissionPolicy"):
			return nil
		}
		return err
	})
}

func (t *tenant) each(objects func(*tenant, int) []client.Object, do func(client.Object) error) error {
	if objects == nil {
		return nil
	}
	for n := range t.count {
		for _, object := range objects(t, n) {
			if err := do(object); err != nil {
				return err
			}
		}
	}
	return nil
}

// moveIn creates the namespace, and gives the tenant the rights of an editor in it. Without a controller manager the role
// edit is not aggregated: its parts are bound.
func (t *tenant) moveIn(ctx context.Context) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.namespace}}
	if err := t.stage.plant.admin.Create(ctx, namespace); err != nil {
		return err
	}
	roles := []string{"fluent-token-editor", "fluent-credential-editor"}
	if !t.writer {
		roles = append([]string{"system:aggregate-to-edit"}, roles...)
	}
	for _, role := range roles {
		err := t.stage.plant.admin.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: t.meta(strings.ReplaceAll(role, ":", "-")),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: t.user()}},
		})
		if err != nil {
			return err
		}
	}
	return until(ctx, time.Minute, t.user()+" has its rights", func(ctx context.Context) (string, error) {
		return "", t.as.List(ctx, &v1alpha1.FluentCredentialList{}, client.InNamespace(t.namespace))
	})
}

// editAll edits the objects again and again, until the context ends.
func (t *tenant) editAll(ctx context.Context) {
	if t.edit == nil {
		return
	}
	for round := 1; ctx.Err() == nil; round++ {
		for n := range t.count {
			if err := t.edit(ctx, t, n, round); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
				t.stage.find("%s cannot edit an object: %v", t.user(), err)
				return
			}
		}
		pause(ctx, editEvery)
	}
}

// judge looks at what became of the objects.
func (t *tenant) judge(ctx context.Context) error {
	if admitted := t.admitted.Load(); admitted > 0 {
		t.stage.find("%s: admission has refused %d times less than it has to", t.kind, admitted)
	}
	if t.refused {
		return nil
	}
	var creds v1alpha1.FluentCredentialList
	var tokens v1alpha1.FluentTokenList
	err := t.stage.plant.admin.List(ctx, &creds, client.InNamespace(t.namespace))
	if err := errors.Join(err, t.stage.plant.admin.List(ctx, &tokens, client.InNamespace(t.namespace))); err != nil {
		return err
	}
	ends := map[string]int{}
	for _, each := range creds.Items {
		ends[t.endOf(each.Status.Conditions)]++
	}
	for _, each := range tokens.Items {
		ends[t.endOf(each.Status.Conditions)]++
	}
	t.stage.say("%s (%s): %v", t.kind, t.what, ends)
	for end, times := range ends {
		if t.says != nil && !slices.Contains(t.says, end) {
			t.stage.find("%s: %d objects say %s, want %s", t.kind, times, end, strings.Join(t.says, " or "))
		}
	}
	return nil
}

// endOf is the reason that is expected, where a condition has it, or else Ready's.
func (t *tenant) endOf(conditions []metav1.Condition) string {
	ready := "nothing"
	for _, each := range conditions {
		if slices.Contains(t.says, each.Reason) {
			return each.Reason
		}
		if each.Type == v1alpha1.ConditionReady {
			ready = each.Reason
		}
	}
	return ready
}
