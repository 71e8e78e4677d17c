// Serves @node-oauth/oauth2-server on the loopback, with the client and the users that the CONFORMANCE_ variables of the
// environment name. Prints its URL and the library's version, then serves until it is killed.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import OAuth2Server from '@node-oauth/oauth2-server';

const { Request, Response } = OAuth2Server;
const setting = (name) => process.env[`CONFORMANCE_${name}`];
const users = setting('USERS').split(',');
const manifest = new URL('node_modules/@node-oauth/oauth2-server/package.json', import.meta.url);

const client = {
  id: setting('CLIENT_ID'),
  grants: ['password', 'authorization_code', 'refresh_token'],
  redirectUris: [setting('REDIRECT_URI')],
  accessTokenLifetime: Number(setting('LIFETIME')),
};
const counts = { granted: 0, presented: 0, codes: 0, reused: 0, refusedLogins: 0, refusedClients: 0, revoked: 0 };
const byAccess = new Map();
const byRefresh = new Map();
const spent = new Set();
const codes = new Map();

// The model is what the library wants of its user: where tokens are kept. A refresh token is revoked, then the new one is saved.
const model = {
  getClient: (id, secret) => {
    if (id === client.id && secret === setting('CLIENT_SECRET')) return client;
    counts.refusedClients += 1;
    return null;
  },
  getUser: (name, password) => {
    if (users.includes(name) && password === setting('PASSWORD')) return { name };
    counts.refusedLogins += 1;
    return null;
  },
  saveToken: (token, owner, user) => {
    counts.granted += 1;
    const saved = { ...token, client: owner, user };
    byAccess.set(token.accessToken, saved);
    byRefresh.set(token.refreshToken, saved);
    return saved;
  },
  getAccessToken: (value) => byAccess.get(value),
  getRefreshToken: (value) => {
    counts.presented += 1;
    if (spent.has(value)) counts.reused += 1;
    return byRefresh.get(value);
  },
  revokeToken: (token) => {
    spent.add(token.refreshToken);
    byAccess.delete(token.accessToken);
    return byRefresh.delete(token.refreshToken);
  },
  getAuthorizationCode: (value) => {
    counts.codes += 1;
    if (spent.has(value)) counts.reused += 1;
    return codes.get(value);
  },
  revokeAuthorizationCode: (code) => {
    spent.add(code.authorizationCode);
    return codes.delete(code.authorizationCode);
  },
};
const oauth = new OAuth2Server({ model });

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return Object.fromEntries(new URLSearchParams(text));
}

// answer runs one of the library's handlers and sends what it says.
async function answer(request, response, handle) {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const asked = new Request({
    method: request.method, headers: request.headers, query: Object.fromEntries(searchParams), body: await body(request), path: pathname,
  });
  const said = new Response({});
  try {
    await handle(asked, said);
  } catch (error) {
    said.status = error.code ?? 500;
    said.body = { error: error.name, error_description: error.message };
  }
  response.writeHead(said.status, { ...said.headers, 'Content-Type': 'application/json' }).end(JSON.stringify(said.body));
}

// newCode is a code for a user who said yes.
function newCode(name) {
  const authorizationCode = randomBytes(20).toString('hex');
  const expiresAt = new Date(Date.now() + 600_000);
  codes.set(authorizationCode, { authorizationCode, expiresAt, redirectUri: setting('REDIRECT_URI'), client, user: { name } });
  return authorizationCode;
}

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  switch (`${request.method} ${pathname}`) {
    case 'POST /token':
      return answer(request, response, (asked, said) => oauth.token(asked, said));
    case 'GET /resource':
      return answer(request, response, (asked, said) => oauth.authenticate(asked, said));
    case 'GET /judge/counts':
      return response.end(JSON.stringify(counts));
    case 'POST /judge/code':
      return response.end(newCode(searchParams.get('user')));
    default:
      return response.writeHead(404).end();
  }
});
server.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port} ${JSON.parse(readFileSync(manifest)).version}`);
});
