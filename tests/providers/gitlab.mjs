// What is GitLab's own: paths, scopes, errors as RFC 6749 wants them.
// https://docs.gitlab.com/api/oauth2/

export const gitlab = {
  kind: "gitlab",
  authorization: "/oauth/authorize",
  token: "/oauth/token",
  scopes: ["read_user", "read_repository"],
  denial: "The resource owner or authorization server denied the request.",

  grant(ctx) {
    ctx.body = { ...ctx.body, created_at: Math.floor(Date.now() / 1000) };
  },

  refuse() {},

  api: {
    "/api/v4/user": { name: "user", scope: "read_user", read: ({ emails, ...profile }) => profile },
  },

  allows: () => true,

  forbid: {
    stranger(ctx, authorization) {
      ctx.status = 401;
      ctx.body = authorization
        ? { error: "invalid_token", error_description: "Token was revoked. You have to re-authorize from the user." }
        : { message: "401 Unauthorized" };
    },
    scope(ctx, scope) {
      ctx.status = 403;
      const error_description = "The request requires higher privileges than provided by the access token.";
      ctx.body = { error: "insufficient_scope", error_description, scope: `api ${scope}` };
    },
  },
};
