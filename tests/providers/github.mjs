// What is GitHub's own: paths, scopes, errors with status 200, an API that wants a User-Agent.
// https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps

const DOCS = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/";

const REFUSALS = {
  invalid_client: ["incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect."],
  invalid_grant: ["bad_verification_code", "The code passed is incorrect or expired."],
  invalid_redirect_uri: [
    "redirect_uri_mismatch",
    "The redirect_uri MUST match the registered callback URL for this application.",
  ],
};

export const github = {
  kind: "github",
  authorization: "/login/oauth/authorize",
  token: "/login/oauth/access_token",
  scopes: ["read:user", "user:email"],
  // No other way is documented.
  secretInForm: true,
  denial: "The user has denied your application access.",

  grant(ctx) {
    const { access_token, scope } = ctx.body;
    answer(ctx, { access_token, scope: scope.split(" ").join(","), token_type: "bearer" });
  },

  refuse(ctx) {
    const [error, error_description] = REFUSALS[ctx.body.error] ?? [ctx.body.error, ctx.body.error_description];
    answer(ctx, { error, error_description, error_uri: `${DOCS}#${error.replaceAll("_", "-")}` });
  },

  api: {
    "/user": { name: "user", read: ({ emails, ...profile }) => profile },
    "/user/emails": { name: "emails", scope: "user:email", read: ({ emails }) => emails },
  },

  allows(ctx) {
    if (ctx.get("user-agent")) return true;
    ctx.status = 403;
    ctx.body = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.\n";
    return false;
  },

  forbid: {
    stranger: (ctx, authorization) => problem(ctx, 401, authorization ? "Bad credentials" : "Requires authentication"),
    scope: (ctx) => problem(ctx, 404, "Not Found"),
  },
};

function answer(ctx, fields) {
  ctx.status = 200;
  if (ctx.get("accept").includes("application/json")) {
    ctx.body = fields;
    return;
  }
  ctx.body = new URLSearchParams(fields).toString();
  ctx.type = "application/x-www-form-urlencoded; charset=utf-8";
}

function problem(ctx, status, message) {
  ctx.status = status;
  ctx.body = { message, documentation_url: "https://docs.github.com/rest", status: `${status}` };
}
