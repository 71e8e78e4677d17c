package authsim

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// answer is an HTTP reply that is not yet sent.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	cut     bool // send only the first keep bytes, then close the connection
	keep    int
	dropped bool // send nothing at all, close the connection
}

// oauthBody is the error of RFC 6749 section 5.2.
type oauthBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func jsonAnswer(status int, body any) answer {
	encoded, err := json.Marshal(body)
	if err != nil {
		// Every body is made of this package's own types and of checked JSON.
		panic("authsim: encoding a reply: " + err.Error())
	}
	header := http.Header{}
	header.Set("Content-Type", "application/json;charset=UTF-8")
	// RFC 6749 section 5.1 asks for both.
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	return answer{status: status, header: header, body: encoded}
}

func oauthAnswer(status int, code, description string) answer {
	return jsonAnswer(status, oauthBody{Error: code, Description: description})
}

// htmlAnswer is the page of a proxy that stands before the API.
func htmlAnswer(status int) answer {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	page := "<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
		"</h1></center>\r\n<hr><center>edge</center>\r\n</body>\r\n</html>\r\n"
	header := http.Header{}
	header.Set("Content-Type", "text/html; charset=UTF-8")
	return answer{status: status, header: header, body: []byte(page)}
}

// padded makes a JSON object larger by size bytes. The padding comes first, so
// that a reader who stops early has not seen the rest.
func (a answer) padded(size int) answer {
	start := `{"padding":"` + strings.Repeat("x", size) + `",`
	a.body = append([]byte(start), a.body[1:]...)
	return a
}

// sent is the status that goes over the wire, 0 where nothing does.
func (a answer) sent() int {
	if a.dropped {
		return 0
	}
	return a.status
}

// whole reports whether all of the answer is meant to reach the client.
func (a answer) whole() bool {
	return !a.dropped && (!a.cut || a.keep >= len(a.body))
}

// deliver sends the answer as far as it is meant to be sent, and says so where
// the client does not get it.
func (a answer) deliver(w http.ResponseWriter, undelivered func()) {
	if a.dropped {
		panic(http.ErrAbortHandler)
	}
	if a.send(w) != nil {
		undelivered()
	}
	if a.cut {
		panic(http.ErrAbortHandler)
	}
}

// send writes the answer and pushes it out. The length announced is that of the
// whole body, also where less is sent.
func (a answer) send(w http.ResponseWriter) error {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	body := a.body
	if a.cut {
		body = body[:min(a.keep, len(body))]
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	err := http.NewResponseController(w).Flush()
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
