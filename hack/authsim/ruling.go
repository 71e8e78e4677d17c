package authsim

import (
	"net/http"
)

// ruling is what the server makes of a token request.
type ruling struct {
	outcome     Outcome
	description string // of a refusal that a dialect may give another shape
	expired     bool   // what was presented was good once
	locked      bool
	answer      answer
	handed      pair // what the reply hands out
}

func refusal(status int, code Outcome, description string) ruling {
	return ruling{outcome: code, description: description, answer: oauthAnswer(status, string(code), description)}
}

// forExpiry says that what was presented was good once.
func (r ruling) forExpiry() ruling {
	r.expired = true
	return r
}

func invalidRequest(description string) ruling {
	return refusal(http.StatusBadRequest, OutcomeInvalidRequest, description)
}

func missing(parameter string) ruling {
	return invalidRequest("Missing parameter: " + parameter)
}

func badClient() ruling {
	return refusal(http.StatusUnauthorized, OutcomeInvalidClient, "Bad client credentials")
}

func invalidScope() ruling {
	return refusal(http.StatusBadRequest, OutcomeInvalidScope, "Invalid scope")
}

func unsupportedGrant() ruling {
	return refusal(http.StatusBadRequest, OutcomeUnsupportedGrant, "Unsupported grant type")
}

// invalidGrant is one answer for what is spent, expired, unknown or another
// client's.
func invalidGrant(description string) ruling {
	return refusal(http.StatusBadRequest, OutcomeInvalidGrant, description)
}

func wrongMethod() ruling {
	refused := refusal(http.StatusMethodNotAllowed, OutcomeInvalidRequest, "Method not allowed")
	refused.answer.header.Set("Allow", http.MethodPost)
	return refused
}

// badCredentials is the vendor's answer to a wrong password and, for most
// users, to any password while the user name is locked.
func badCredentials() ruling {
	message := oauthBody{Error: string(OutcomeInvalidGrant), Description: "Bad credentials"}
	return ruling{
		outcome: OutcomeInvalidGrant,
		answer:  fluentAnswer(http.StatusBadRequest, http.StatusBadRequest, message),
	}
}

// lockedSSO is the answer to a locked SSO user: the status and the code differ.
func lockedSSO() ruling {
	return ruling{
		outcome: OutcomeLocked,
		answer:  fluentAnswer(http.StatusInternalServerError, http.StatusBadRequest, "User account is locked"),
	}
}
