package cli

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
	"github.com/fluent-credential/operator/internal/printable"
)

// poison puts a text into every string of an object, also where admission would refuse it today: an object may have
// been stored before the rule existed, and a status may have been written by another program.
func poison(value reflect.Value, text string) {
	switch value.Kind() {
	case reflect.String:
		value.SetString(text)
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		poison(value.Elem(), text)
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		poison(value.Index(0), text)
	case reflect.Map:
		name, entry := reflect.New(value.Type().Key()).Elem(), reflect.New(value.Type().Elem()).Elem()
		poison(name, text)
		poison(entry, text)
		value.Set(reflect.MakeMap(value.Type()))
		value.SetMapIndex(name, entry)
	case reflect.Struct:
		if value.Type() == reflect.TypeFor[metav1.Time]() {
			value.Set(reflect.ValueOf(metav1.NewTime(noon.Add(-time.Hour))))
			return
		}
		for i := range value.NumField() {
			if field := value.Field(i); field.CanSet() {
				poison(field, text)
			}
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		value.SetInt(3)
	default:
	}
}

func poisoned[T any](text string) *T {
	object := new(T)
	poison(reflect.ValueOf(object).Elem(), text)
	return object
}

// hostileConditions are conditions that the commands look for, with the rest of the text's.
func hostileConditions(text string, types ...string) []metav1.Condition {
	var all []metav1.Condition
	for _, kind := range types {
		all = append(all, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: text, Message: text})
	}
	return append(all, metav1.Condition{Type: text, Status: metav1.ConditionStatus(text), Reason: text, Message: text})
}

func hostileCredential(text string) *v1alpha1.FluentCredential {
	cred := poisoned[v1alpha1.FluentCredential](text)
	cred.DeletionTimestamp = nil
	cred.Status.Conditions = hostileConditions(text, v1alpha1.ConditionReady, v1alpha1.ConditionStalled)
	cred.Status.ObservedGeneration = cred.Generation
	return cred
}

// hostileCluster is a cluster in which every text is the same.
type hostileCluster struct {
	client.Client
	text string
}

func (c *hostileCluster) Get(_ context.Context, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	poison(reflect.ValueOf(object).Elem(), c.text)
	return nil
}

func (c *hostileCluster) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *v1alpha1.FluentCredentialList:
		gone := poisoned[v1alpha1.FluentCredential](c.text)
		list.Items = []v1alpha1.FluentCredential{*hostileCredential(c.text), *gone}
	case *v1alpha1.FluentTokenList:
		list.Items = []v1alpha1.FluentToken{*poisoned[v1alpha1.FluentToken](c.text)}
	case *corev1.EventList:
		list.Items = []corev1.Event{*poisoned[corev1.Event](c.text)}
	case *appsv1.DeploymentList:
		list.Items = []appsv1.Deployment{*poisoned[appsv1.Deployment](c.text), *poisoned[appsv1.Deployment](c.text)}
	case *coordinationv1.LeaseList:
		lease := poisoned[coordinationv1.Lease](c.text)
		lease.Name = v1alpha1.LeaderLease
		list.Items = []coordinationv1.Lease{*lease}
	case *metav1.PartialObjectMetadataList:
		list.Items = []metav1.PartialObjectMetadata{*poisoned[metav1.PartialObjectMetadata](c.text)}
	}
	return nil
}

func (c *hostileCluster) Create(context.Context, client.Object, ...client.CreateOption) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: c.text, Resource: c.text}, c.text, &meta.NoKindMatchError{
		GroupKind: schema.GroupKind{Group: c.text, Kind: c.text}, SearchedVersions: []string{c.text},
	})
}

func (c *hostileCluster) Update(context.Context, client.Object, ...client.UpdateOption) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: c.text, Resource: c.text}, c.text, &meta.NoKindMatchError{
		GroupKind: schema.GroupKind{Group: c.text, Kind: c.text}, SearchedVersions: []string{c.text},
	})
}

// hostileRun renders a text in everything that the commands print, and returns what they wrote.
func hostileRun(t *testing.T, text string, colored bool) map[string]string {
	t.Helper()
	printed := map[string]string{}
	run := func(command string, print func(s *session) error) {
		var out bytes.Buffer
		s := &session{In: strings.NewReader(""), Out: newScreen(&out), ErrOut: newScreen(&out), version: "v1",
			now: func() time.Time { return noon }, cluster: genericclioptions.NewConfigFlags(false)}
		s.Out.colored, s.ErrOut.colored = colored, colored
		if _, message := outcome(print(s)); message != "" {
			tellError(s.ErrOut, message)
		}
		_ = s.Out.Flush()
		printed[command] = out.String()
	}
	for _, format := range []string{"", "wide", "name", "json", "yaml", "jsonpath={.items[*].metadata.name}"} {
		run("list -o "+format, func(s *session) error { return hostileList(s, text, format) })
	}
	for _, format := range []string{"", "json", "yaml"} {
		run("status -o "+format, func(s *session) error { return hostileStatus(t.Context(), s, text, format) })
		run("doctor -o "+format, func(s *session) error { return hostileDoctor(t.Context(), s, text, format) })
		run("check -o "+format, func(s *session) error { return hostileCheck(t.Context(), s, text, format) })
	}
	run("rotate", func(s *session) error { return hostileWait(s, text) })
	run("error", func(*session) error { return usage("%s is no FluentCredential: %w", text, io.EOF) })
	run("cluster's error", func(s *session) error { return (&hostileCluster{text: text}).Create(t.Context(), nil) })
	return printed
}

func hostileList(s *session, text, format string) error {
	o := &listOptions{session: s, output: newObjectOutput(s.suspend(true), "wide, ")}
	*o.output.OutputFormat = format
	o.allNamespaces = true
	creds := []v1alpha1.FluentCredential{*hostileCredential(text), *poisoned[v1alpha1.FluentCredential](text)}
	return o.show(creds, []v1alpha1.FluentToken{*poisoned[v1alpha1.FluentToken](text)}, noon)
}

func hostileStatus(ctx context.Context, s *session, text, format string) error {
	o := &statusOptions{session: s, dataOutput: dataOutput{format: format}}
	told := storyOf(ctx, &hostileCluster{text: text}, hostileCredential(text), noon)
	told.Notes = append(told.Notes, text)
	token := tokenStoryOf(poisoned[v1alpha1.FluentToken](text), noon)
	return o.show([]any{&told, &token})
}

func hostileDoctor(ctx context.Context, s *session, text, format string) error {
	v := &examination{session: s, cluster: &hostileCluster{text: text}, serverTime: noon}
	v.about(text)
	for _, examine := range []func(context.Context){
		v.examineCRD, v.examineOperators, v.examineAccess, v.examineLeases, v.examineJournal, v.examineCredentials,
		v.examineTokens, v.examineStates,
	} {
		examine(ctx)
	}
	return v.report(s, dataOutput{format: format})
}

func hostileCheck(ctx context.Context, s *session, text, format string) error {
	found := &findings{}
	cluster := &hostileCluster{text: text}
	metadata := &metadataPolicy{}
	metadata.addMetadataFlag(pflag.NewFlagSet("", pflag.ContinueOnError))
	look := &inspection{
		session: s, findings: found, cluster: cluster, metadata: metadata, candidate: candidate{cred: hostileCredential(text)},
	}
	look.prefix, look.policy.AllowedHosts = text+": ", []string{"nowhere.example.com"}
	look.run(ctx)
	look.cred.Spec.Provider = v1alpha1.ProviderSpec{Fluent: &v1alpha1.FluentProvider{BaseURL: "https://" + v1alpha1.BaseURL(text)}}
	look.run(ctx)
	token := poisoned[v1alpha1.FluentToken](text)
	(&tokenInspection{findings: found, cluster: cluster, metadata: metadata, token: token}).run(ctx, true)
	return found.report(s, dataOutput{format: format})
}

func hostileWait(s *session, text string) error {
	cred := hostileCredential(text)
	cred.Status.LastHandledRotateAt = "now"
	watch := &vigil{session: s, from: &hostileCluster{text: text}, told: map[key]string{}}
	_, err := watch.lookAt(context.Background(), &rotation{value: text, of: keyOf(cred)})
	_, message := (&rotation{value: "now"}).judge(cred, noon)
	s.Out.printf("%s\n", lines(message))
	return err
}

var hostileTexts = []string{
	"", "orders", "a\nNAME forged", "\x1b[2J\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\rb", "a\tb\vc\fd", "\u009b31m",
	"\u202erevo", "\u200b\u200d\ufeff", "\xff\xfe\xffcut\xe5", "密码密码\u0301", strings.Repeat("x\n", 300), "\x00", "%s%d%!",
	"{{.}}\x1b", "https://evil\x1b[1m.example.com", "a\u2028b\u0085c", "{name}\x1b{namespace}",
}

// checkPrinted fails where a text holds anything but printable characters, line ends, tabs and our own colors.
func checkPrinted(t *testing.T, command, text string) {
	t.Helper()
	for _, own := range []colour{red, green, yellow, cyan, bold, colourOff} {
		text = strings.ReplaceAll(text, string(own), "")
	}
	if !utf8.ValidString(text) {
		t.Errorf("%s prints bytes that are not UTF-8: %q", command, text)
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && !printable.Is(r) {
			t.Fatalf("%s prints %q in %q", command, r, text)
		}
	}
}

func TestNoCommandPrintsRawEscapes(t *testing.T) {
	t.Parallel()
	for _, text := range hostileTexts {
		for command, printed := range hostileRun(t, text, false) {
			checkPrinted(t, command, printed)
			if strings.Contains(printed, "\x1b") {
				t.Errorf("%s prints an escape without a color: %q", command, printed)
			}
		}
		for command, printed := range hostileRun(t, text, true) {
			checkPrinted(t, command, printed)
		}
	}
}

func FuzzNoCommandPrintsRawEscapes(f *testing.F) {
	for _, text := range hostileTexts {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, colored bool) {
		for command, printed := range hostileRun(t, text, colored) {
			checkPrinted(t, command, printed)
		}
	})
}

// TestNoNameForgesALine: a line end in a name or a message adds no line to what people read.
func TestNoNameForgesALine(t *testing.T) {
	t.Parallel()
	want := hostileRun(t, "or ders x", false)
	for command, printed := range hostileRun(t, "or\nders\r\n\u2028x", false) {
		if strings.Contains(command, "yaml") || strings.Contains(command, "name") {
			continue // an encoder may fold a text; a name is what was asked for
		}
		if got, lines := strings.Count(printed, "\n"), strings.Count(want[command], "\n"); got != lines {
			t.Errorf("%s prints %d lines, %d for a plain name:\n%s", command, got, lines, printed)
		}
	}
}

// TestEverythingIsPrintedThroughTheScreen: a text that goes elsewhere is not filtered.
func TestEverythingIsPrintedThroughTheScreen(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				checkCall(t, name, call)
			}
			return true
		})
	}
}

func checkCall(t *testing.T, name string, call *ast.CallExpr) {
	t.Helper()
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	if from, ok := function.X.(*ast.Ident); !ok || from.Name != "fmt" {
		return
	}
	if strings.HasPrefix(function.Sel.Name, "Print") {
		t.Errorf("%s: fmt.%s prints past the screen", name, function.Sel.Name)
	}
	if !strings.HasPrefix(function.Sel.Name, "Fprint") {
		return
	}
	if to, ok := call.Args[0].(*ast.SelectorExpr); ok && (to.Sel.Name == "Out" || to.Sel.Name == "ErrOut") &&
		name != "output.go" {
		t.Errorf("%s: fmt.%s to %s does not keep arguments in one line: use printf", name, function.Sel.Name, to.Sel.Name)
	}
}
