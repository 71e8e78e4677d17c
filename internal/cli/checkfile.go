package cli

import (
	"cmp"
	"context"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// candidates are what the argument names: manifests, or an object of the cluster.
func (o *checkOptions) candidates(ctx context.Context, cluster client.Client, args []string) ([]candidate, error) {
	file := o.file
	switch {
	case file == "" && len(args) == 0:
		return nil, usage("say what to check: a FILE or a NAME")
	case file != "" && len(args) > 0:
		return nil, usage("FILE or NAME and --filename exclude each other")
	case file == "" && isFile(args[0]):
		file = args[0]
	}
	namespace, err := o.namespace()
	if err != nil && file == "" {
		return nil, err
	}
	if err != nil { // without a usable kubeconfig the flag applies
		namespace = cmp.Or(ptr.Deref(o.cluster.Namespace, ""), metav1.NamespaceDefault)
	}
	if file != "" {
		return o.read(file, namespace)
	}
	if name, isToken := tokenName(args[0]); isToken {
		token, err := o.findToken(ctx, cluster, name)
		return []candidate{{token: token}}, err
	}
	cred, err := findOne(ctx, cluster, namespace, args[0])
	return []candidate{{cred: cred}}, err
}

// isFile tells a file from a name: no FluentCredential's name has a slash, but for its kind, or is that of a file here.
func isFile(argument string) bool {
	if name, err := bareName(argument); err == nil && name != argument {
		return false
	}
	if _, isToken := tokenName(argument); isToken {
		return false
	}
	if argument == "-" || strings.ContainsRune(argument, os.PathSeparator) {
		return true
	}
	_, err := os.Stat(argument)
	return err == nil
}

// read decodes manifests as kubectl does: files, directories, several documents, the standard input.
func (o *checkOptions) read(file, namespace string) ([]candidate, error) {
	var creds []*v1alpha1.FluentCredential
	var found []candidate
	logins := map[key]*corev1.Secret{}
	infos, err := resource.NewLocalBuilder().WithScheme(newScheme(), v1alpha1.GroupVersion, corev1.SchemeGroupVersion).Local().
		FilenameParam(false, &resource.FilenameOptions{Filenames: []string{file}, Recursive: true}).
		ContinueOnError().Flatten().Do().Infos()
	if err != nil && !runtime.IsNotRegisteredError(err) {
		return nil, usage("%w", err)
	}
	for _, info := range infos {
		switch object := info.Object.(type) {
		case *v1alpha1.FluentCredential:
			inNamespace(object, namespace)
			creds = append(creds, object)
		case *v1alpha1.FluentToken:
			inNamespace(object, namespace)
			found = append(found, candidate{token: object, fresh: true})
		case *corev1.Secret:
			inNamespace(object, namespace)
			logins[client.ObjectKeyFromObject(object)] = stored(object)
		}
	}
	if len(creds)+len(found) == 0 {
		return nil, usage("%s holds no FluentCredential and no FluentToken", file)
	}
	for _, cred := range creds {
		login := logins[key{Namespace: cred.Namespace, Name: cred.Spec.CredentialsSecretRef.Name}]
		found = append(found, candidate{cred: cred, supplied: login, fresh: true})
	}
	return found, nil
}

func inNamespace(object client.Object, namespace string) {
	if object.GetNamespace() == "" {
		object.SetNamespace(namespace)
	}
}

// stored is the Secret as the API server would store it: stringData goes over data.
func stored(secret *corev1.Secret) *corev1.Secret {
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for name, value := range secret.StringData {
		secret.Data[name] = []byte(value)
	}
	return secret
}
