package localcluster

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// Get reads a URL, whose answer has to be 200.
func Get(ctx context.Context, target string) ([]byte, error) {
	status, body, err := get(ctx, target, "")
	if err == nil && status != http.StatusOK {
		err = errors.New(http.StatusText(status))
	}
	return body, err
}

func get(ctx context.Context, target, authorization string) (int, []byte, error) {
	return exchange(ctx, http.MethodGet, target, authorization)
}

func exchange(ctx context.Context, method, target, authorization string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return 0, nil, err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}
