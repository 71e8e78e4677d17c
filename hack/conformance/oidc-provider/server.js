// Serves oidc-provider on the loopback, with the client and the users that the CONFORMANCE_ variables of the environment name.
// Prints its URL and the library's version, then serves until it is killed.
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Provider, { errors } from 'oidc-provider';

const setting = (name) => process.env[`CONFORMANCE_${name}`];
const users = setting('USERS').split(',');
const life = Number(setting('LIFETIME'));
const scope = 'openid offline_access';
const { version } = JSON.parse(readFileSync(new URL('node_modules/oidc-provider/package.json', import.meta.url)));

// Koa takes connections before the issuer's port is known.
let app = (_request, response) => response.writeHead(503).end();
const server = createServer((request, response) => app(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  app = makeProvider(issuer).callback();
  console.log(`${issuer} ${version}`);
});

function makeProvider(issuer) {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: setting('CLIENT_ID'),
      client_secret: setting('CLIENT_SECRET'),
      redirect_uris: [setting('REDIRECT_URI')],
      grant_types: ['password', 'authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_basic',
    }],
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: { devInteractions: { enabled: false }, introspection: { enabled: true }, revocation: { enabled: true } },
    findAccount: (_ctx, accountId) => users.includes(accountId) && { accountId, claims: () => ({ sub: accountId }) },
    interactions: { url: () => '/no-interaction' },
    pkce: { required: () => false },
    rotateRefreshToken: true,
    ttl: { AccessToken: life, Grant: 86400, IdToken: life, RefreshToken: 86400, AuthorizationCode: 600 },
  });
  const counts = count(provider);
  provider.registerGrantType('password', (ctx) => password(provider, counts, ctx), ['username', 'password', 'scope']);
  provider.use((ctx, next) => judge(provider, counts, ctx, next));
  return provider;
}

// newGrant is what a user who said yes has granted.
async function newGrant(provider, accountId) {
  const grant = new provider.Grant({ accountId, clientId: setting('CLIENT_ID') });
  grant.addOIDCScope(scope);
  return grant.save();
}

// password is the grant of RFC 6749 section 4.3, which the library leaves to its user.
async function password(provider, counts, ctx) {
  const { client, params } = ctx.oidc;
  if (!users.includes(params.username) || params.password !== setting('PASSWORD')) {
    counts.refusedLogins += 1;
    throw new errors.InvalidGrant('wrong user name or password');
  }
  const base = { accountId: params.username, client, grantId: await newGrant(provider, params.username), gty: 'password', scope };
  const refresh = await new provider.RefreshToken(base).save();
  const access = new provider.AccessToken(base);
  const value = await access.save();
  ctx.body = { access_token: value, refresh_token: refresh, expires_in: access.expiration, scope, token_type: access.tokenType };
}

// count lets the library's own events say what it is asked. An opaque token is its own jti.
function count(provider) {
  const counts = { granted: 0, presented: 0, codes: 0, reused: 0, refusedLogins: 0, refusedClients: 0, revoked: 0 };
  const spent = new Set();
  // What a request presents is spent by its own grant, or was spent before.
  const presentation = (ctx, granted) => {
    const { grant_type: grant, refresh_token: token, code } = ctx.oidc?.params ?? {};
    if (!['refresh_token', 'authorization_code'].includes(grant)) return;
    counts[grant === 'refresh_token' ? 'presented' : 'codes'] += 1;
    if (spent.has(grant === 'refresh_token' ? token : code) && !granted) counts.reused += 1;
  };
  provider.on('refresh_token.consumed', (token) => spent.add(token.jti));
  provider.on('authorization_code.consumed', (code) => spent.add(code.jti));
  provider.on('grant.success', (ctx) => {
    counts.granted += 1;
    presentation(ctx, true);
  });
  provider.on('grant.error', (ctx, error) => {
    if (error.error === 'invalid_client') counts.refusedClients += 1;
    else presentation(ctx, false);
  });
  const revoking = new AsyncLocalStorage();
  provider.on('refresh_token.destroyed', () => { if (revoking.getStore()) counts.revoked += 1; });
  provider.use((ctx, next) => revoking.run(ctx.path === '/token/revocation', next));
  return counts;
}

// judge serves what is not the library's.
async function judge(provider, counts, ctx, next) {
  switch (`${ctx.method} ${ctx.path}`) {
    case 'GET /resource': {
      const bearer = (ctx.get('authorization').match(/^Bearer (\S+)$/i) ?? [])[1];
      const token = bearer && await provider.AccessToken.find(bearer);
      ctx.status = token?.isValid ? 200 : 401;
      return;
    }
    case 'GET /judge/counts':
      ctx.body = counts;
      return;
    case 'POST /judge/code': {
      const accountId = ctx.query.user;
      const client = await provider.Client.find(setting('CLIENT_ID'));
      ctx.body = await new provider.AuthorizationCode({
        accountId, client, grantId: await newGrant(provider, accountId), redirectUri: setting('REDIRECT_URI'), scope,
      }).save();
      return;
    }
    default:
      await next();
  }
}
