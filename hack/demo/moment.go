package main

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// moment is the credential as two watches show it: each is right, and they are not in step.
type moment struct {
	cred   *v1alpha1.FluentCredential // nil: there is none
	secret *corev1.Secret             // nil: there is none
}

// serial of the newest token that the status tells of.
func (m moment) serial() int64 {
	if m.cred == nil || m.cred.Status.Token == nil {
		return 0
	}
	return m.cred.Status.Token.Serial
}

// published is the serial of the token in the Secret.
func (m moment) published() int64 {
	if m.secret == nil {
		return 0
	}
	serial, err := strconv.ParseInt(m.secret.Annotations[v1alpha1.SerialAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return serial
}

func (m moment) accessToken() string {
	if m.secret == nil {
		return ""
	}
	return string(m.secret.Data[v1alpha1.AccessTokenKey])
}

// ready is the Ready condition; its Status is empty before there is one.
func (m moment) ready() metav1.Condition {
	if m.cred == nil {
		return metav1.Condition{}
	}
	if found := meta.FindStatusCondition(m.cred.Status.Conditions, v1alpha1.ConditionReady); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// settled tells whether the two watches agree. The Secret is written a moment before the status, and either may be seen first.
func (m moment) settled() bool {
	if m.ready().Status == "" || m.published() > m.serial() {
		return false
	}
	return m.secret == nil || m.published() == m.serial() || m.ready().Status != metav1.ConditionTrue
}

// tells whether there is something to tell that was not told by then.
func (m moment) differs(then moment) bool {
	now, before := m.ready(), then.ready()
	return m.serial() != then.serial() || m.accessToken() != then.accessToken() ||
		now.Status != before.Status || now.Reason != before.Reason || now.Message != before.Message
}
