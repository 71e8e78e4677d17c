package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// hostile is the token endpoint of the poisoned objects, under /kind/number/token. It records what it is asked.
type hostile struct {
	server  *http.Server
	tenants map[string]*tenant

	mu        sync.Mutex
	addresses map[string]string      // by host
	asked     map[string][]time.Time // by kind and number
	presented map[string]int         // by refresh token
}

func (s *stage) newHostile() *hostile {
	h := &hostile{
		tenants: map[string]*tenant{}, addresses: map[string]string{},
		asked: map[string][]time.Time{}, presented: map[string]int{},
	}
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	s.atEnd(h.server.Close)
	return h
}

// url is the token endpoint of one object. All of 127.0.0.0/8 is Linux' loopback: there can be a host for each object.
func (h *hostile) url(kind string, number int, host string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	address, known := h.addresses[host]
	if !known {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return "", err
		}
		address = listener.Addr().String()
		h.addresses[host] = address
		go func() { _ = h.server.Serve(listener) }()
	}
	return fmt.Sprintf("http://%s/%s/%d/token?n=%d", address, kind, number, number), nil
}

// ServeHTTP answers as the tenant wants it.
func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 2 || h.tenants[parts[0]] == nil {
		http.NotFound(w, r)
		return
	}
	number, _ := strconv.Atoi(parts[1])
	h.note(parts[0]+"/"+parts[1], r.FormValue("refresh_token"))
	asked := h.tenants[parts[0]]
	if asked.strike != nil {
		asked.strike(r.Context(), asked, number)
	}
	if asked.reply == nil {
		grant(w, nil)
		return
	}
	asked.reply(r.Context(), w)
}

func (h *hostile) note(object, refreshToken string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[object] = append(h.asked[object], time.Now())
	if refreshToken != "" {
		h.presented[refreshToken]++
	}
}

// The bounds of what a poisoned object may cause.
const (
	hostileRate       = 20 // requests a minute
	mostPresentations = 2  // of a refresh token
)

// grant hands out a token, and more members where there are some.
func grant(w http.ResponseWriter, more map[string]any) {
	now := time.Now().UnixNano()
	reply := map[string]any{
		"access_token": fmt.Sprintf("hostile-access-%d", now), "refresh_token": fmt.Sprintf("hostile-refresh-%d", now),
		"token_type": "Bearer", "expires_in": 20,
	}
	maps.Copy(reply, more)
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(reply)
}

// How the hosts of some tenants answer.
func answersHuge(_ context.Context, w http.ResponseWriter) {
	grant(w, map[string]any{"more": strings.Repeat("<", 64_000)})
}

func answersJunk(_ context.Context, w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(strings.Repeat("junk", 48<<10)))
}

func answersSlowly(ctx context.Context, w http.ResponseWriter) {
	pause(ctx, 29*time.Second)
	grant(w, nil)
}

func answersNever(ctx context.Context, _ http.ResponseWriter) { <-ctx.Done() }

// judge looks for objects that asked too often, and for refresh tokens that were presented too often.
func (h *hostile) judge(s *stage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for object, times := range h.asked {
		s.count("requests for poisoned objects", len(times))
		for i := hostileRate; i < len(times); i++ {
			if within := times[i].Sub(times[i-hostileRate]); within < time.Minute {
				s.find("%s caused %d requests within %s", object, hostileRate+1, within.Round(time.Second))
				break
			}
		}
	}
	for kind, each := range h.tenants {
		hasAsked := func(object string) bool { return strings.HasPrefix(object, kind+"/") }
		if each.asked && !slices.ContainsFunc(slices.Collect(maps.Keys(h.asked)), hasAsked) {
			s.find("%s: its host was never asked: nothing is proven", kind)
		}
	}
	for token, times := range h.presented {
		if times > mostPresentations {
			s.find("a refresh token of another tenant was presented %d times: %s", times, token)
		}
	}
}
