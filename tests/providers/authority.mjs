// An OAuth server of one shape: exact redirect_uri, client secret, PKCE S256, codes that work once and for a minute.

import { Provider } from "../npm/node_modules/oidc-provider/lib/index.js";
import { fail } from "./faults.mjs";
import { form } from "./form.mjs";
import { interaction } from "./interaction.mjs";

export const CLIENT = { id: "the-client-of-the-tests", secret: "the secret of the tests, + & % = included" };

export async function authority(shape, url, control) {
  const provider = new Provider(url, {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        token_endpoint_auth_method: "client_secret_post",
        // A client must have one from the start; the tests set their own.
        redirect_uris: ["https://unset.invalid/callback"],
      },
    ],
    routes: { authorization: shape.authorization, token: shape.token },
    scopes: shape.scopes,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
    },
    // No browser asks for this path, so nobody is remembered and every sign-in asks who it is.
    cookies: { keys: ["a key of the tests"], long: { path: "/_never" } },
    ttl: { AccessToken: 7200, AuthorizationCode: 60, Grant: 7200, Interaction: 600, Session: 7200 },
    interactions: { url: (_ctx, { uid }) => `/_interaction/${uid}` },
    expiresWithSession: () => false,
    findAccount: (_ctx, id) => control.people.has(id) && { accountId: id, claims: () => ({ sub: id }) },
    renderError: (ctx, { error, error_description }) => {
      ctx.type = "text/plain";
      ctx.body = `${error}: ${error_description}`;
    },
  });
  const client = await provider.Client.find(CLIENT.id);

  provider.use(control.serve({ allow: (uris) => (client.redirectUris = uris) }));
  provider.use(interaction(provider, control.people, shape.denial));
  provider.use(authorization(shape, url, control));
  provider.use(token(shape, control));
  provider.use(api(shape, provider, control));
  return provider;
}

function authorization({ authorization }, url, { seen }) {
  return async (ctx, next) => {
    if (ctx.path === authorization) seen.authorization.push({ ...ctx.query });
    await next();
    const location = ctx.response.get("location");
    if (!ctx.path.startsWith(authorization) || !location || new URL(location, url).origin === url) return;
    // Neither of the real ones tells its name on the way back (RFC 9207).
    const back = new URL(location);
    back.searchParams.delete("iss");
    ctx.set("location", back.href);
  };
}

function token({ token, secretInForm, refuse, grant }, { seen, faults }) {
  return async (ctx, next) => {
    if (ctx.method !== "POST" || ctx.path !== token) return next();
    const note = heard(ctx);
    const fault = faults.get("token");
    if (fault) {
      seen.token.push({ form: await form(ctx), ...note });
      return fail(ctx, fault);
    }
    if (secretInForm) delete ctx.headers.authorization;
    await next();
    seen.token.push({ form: { ...ctx.oidc?.body }, ...note });
    if (ctx.status === 200) grant(ctx);
    else if (ctx.status < 500) refuse(ctx);
  };
}

function api({ api, allows, forbid }, provider, { seen, faults, people }) {
  return async (ctx, next) => {
    const resource = ctx.method === "GET" && api[ctx.path];
    if (!resource) return next();
    const { authorization } = ctx.headers;
    seen.api.push({ path: ctx.path, ...heard(ctx) });
    const fault = faults.get(resource.name);
    if (fault && fault !== "no_id") return fail(ctx, fault);
    if (!allows(ctx)) return;

    const [, opaque] = /^Bearer (\S+)$/i.exec(authorization ?? "") ?? [];
    const token = opaque && (await provider.AccessToken.find(opaque));
    const person = token && people.get(token.accountId);
    if (!person) return forbid.stranger(ctx, authorization);
    if (resource.scope && !token.scopes.has(resource.scope)) return forbid.scope(ctx, resource.scope);
    ctx.body = resource.read(person);
    if (fault === "no_id") delete ctx.body.id;
  };
}

function heard({ headers: { authorization = null, accept = null, "user-agent": user_agent = null } }) {
  return { authorization, accept, user_agent };
}
