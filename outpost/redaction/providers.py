"""The formats of providers' tokens, each with the source of its format.

The patterns are RE2's and match no line break. Group 1 is the secret, or the whole match when there is no group.
Lengths are lower bounds: providers lengthen their tokens without notice. Sources: a rule of gitleaks (v8.30), of
betterleaks (July 2026) or a detector of trufflehog (v3), or the title of the provider's documentation.
"""

from dataclasses import dataclass

from outpost.redaction.patterns import WORD_START as _START


@dataclass(frozen=True)
class Format:
    """A format of secrets."""

    kind: str
    pattern: str
    source: str


_ID = "[A-Za-z0-9_-]"
_HEX = "[0-9a-fA-F]"
_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

PROVIDERS = (
    Format("outpost-key", "otp_[0-9A-Za-z]{32,}", "outpost.domain.keys"),
    # Models
    Format("anthropic-key", f"sk-ant-{_ID}{{16,}}", "gitleaks anthropic-api-key, anthropic-admin-api-key"),
    Format("openai-key", f"sk-(?:proj|svcacct|admin|None)-{_ID}{{16,}}", "gitleaks openai-api-key"),
    Format("openrouter-key", f"sk-or-(?:v\\d-)?{_ID}{{20,}}", "betterleaks openrouter-api-key"),
    Format("langfuse-key", f"sk-lf-{_ID}{{20,}}", "trufflehog langfuse"),
    Format("minimax-key", f"sk-(?:api|cp)-{_ID}{{32,}}", "betterleaks minimax-api-key"),
    Format(
        "api-key",
        f"{_START}(sk-[A-Za-z0-9_]{{20,}})",
        "betterleaks deepseek-api-key, kimi-api-key; gitleaks openai",
    ),
    Format("elevenlabs-key", f"{_START}(sk_{_HEX}{{40,}})", "betterleaks elevenlabs-api-key"),
    Format("xai-key", "xai-[A-Za-z0-9]{20,}|xai-" + _ID + "{40,}", "betterleaks xai-api-key"),
    Format("groq-key", "gsk_[A-Za-z0-9]{32,}", "betterleaks groq-api-key"),
    Format("perplexity-key", "pplx-[A-Za-z0-9]{32,}", "gitleaks perplexity-api-key"),
    Format("cerebras-key", f"{_START}(csk-[A-Za-z0-9]{{32,}})", "betterleaks cerebras-api-key"),
    Format("replicate-token", f"{_START}(r8_[A-Za-z0-9]{{30,}})", "betterleaks replicate-api-token"),
    Format("huggingface-token", f"{_START}(hf_[A-Za-z0-9]{{30,}})|api_org_[A-Za-z0-9]{{30,}}", "gitleaks huggingface"),
    Format("together-key", f"tgp_v1_{_ID}{{30,}}", "betterleaks togetherai-api-key"),
    Format("fireworks-key", f"{_START}(fw_[A-Za-z0-9]{{20,}})", "Fireworks docs: API keys"),
    Format("nvidia-key", f"nvapi-{_ID}{{40,}}", "betterleaks nvidia-api-key"),
    Format("pinecone-key", "pcsk_[A-Za-z0-9]{4,}_[A-Za-z0-9]{40,}", "betterleaks pinecone-api-key"),
    Format("tavily-key", f"tvly-{_ID}{{20,}}", "Tavily docs: quickstart"),
    Format("langsmith-key", "lsv2_[a-z]{2}_[0-9A-Za-z]{28,}(?:_[0-9A-Za-z]+)?", "betterleaks langchain-langsmith"),
    Format("wandb-key", "wandb_v1_[A-Za-z0-9_-]{40,}", "betterleaks weights-and-biases-api-key-v1"),
    Format("voyage-key", f"{_START}(pa-{_ID}{{40,}})", "Voyage AI docs: API key"),
    Format("jina-key", "jina_[A-Za-z0-9_]{40,}", "Jina docs: API key"),
    Format("brave-key", f"{_START}(BSA[A-Za-z0-9_-]{{27,}})", "betterleaks brave-search-api-key"),
    Format("cursor-key", f"{_START}(key_{_HEX}{{60,}})|crsr_{_HEX}{{40,}}", "betterleaks cursor-api-key"),
    Format(
        "devin-key",
        f"{_START}(apk_[A-Za-z0-9+/=_]{{60,}}|cog_[a-z2-7]{{40,}})",
        "betterleaks devin-service-api-key",
    ),
    Format("e2b-key", f"{_START}(e2b_{_HEX}{{40,}})", "E2B docs: API key"),
    Format("modal-token", f"{_START}(a[ks]-[A-Za-z0-9]{{22}}\\b)", "Modal docs: service users, token ID and secret"),
    Format("firecrawl-key", f"{_START}(fc-{_HEX}{{32}})", "Firecrawl docs: introduction, API key"),
    Format("composio-key", f"{_START}(ak_{_ID}{{20}})", "Composio docs: API keys"),
    Format("context7-key", f"{_START}(ctx7sk-{_ID}{{20,}})", "Context7 docs: API keys"),
    Format("browserbase-key", f"{_START}(bb_live_{_ID}{{20,}})", "Browserbase docs: API keys"),
    Format("runpod-key", f"{_START}(rpa_[A-Za-z0-9]{{30,}})", "Runpod docs: manage API keys"),
    Format("lambda-key", f"{_START}(secret_[a-z0-9-]+_{_HEX}{{32}}\\.[A-Za-z0-9]{{32}})", "Lambda docs: Cloud API"),
    Format("zai-key", f"{_START}({_HEX}{{32}}\\.[A-Za-z0-9]{{16}}\\b)", "Z.ai docs: HTTP API, authentication"),
    # Google
    Format("google-key", f"AIza{_ID}{{30,}}", "gitleaks gcp-api-key"),
    Format("google-key", f"{_START}(AQ\\.{_ID}{{30,}})", "betterleaks gcp-gemini-api"),
    Format("google-token", "ya29\\.[A-Za-z0-9_.-]{20,}", "trufflehog googleoauth2"),
    Format("google-secret", f"GOCSPX-{_ID}{{20,}}", "Google Cloud docs: manage OAuth clients"),
    Format("google-token", f"{_START}(1//0[A-Za-z0-9_-]{{30,}})", "Google Identity docs: OAuth 2.0, refresh tokens"),
    # Forges and packages
    Format("github-token", "gh[pousr]_[A-Za-z0-9_.-]{30,}", "GitHub docs: GitHub's token formats"),
    Format("github-token", "github_pat_[A-Za-z0-9_]{22,}", "gitleaks github-fine-grained-pat"),
    Format(
        "gitlab-token",
        "gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-[A-Za-z0-9_.-]{18,}",
        "GitLab docs: token overview, token prefixes",
    ),
    Format("gitlab-token", f"GR1348941{_ID}{{20,}}", "gitleaks gitlab-rrt"),
    Format("gitlab-session", "_gitlab_session=([0-9a-z]{32,})", "gitleaks gitlab-session-cookie"),
    Format("bitbucket-token", "AT(?:BB|CTT3)[A-Za-z0-9_=-]{24,}", "trufflehog bitbucketapppassword"),
    Format("bitbucket-token", "BBDC-[A-Za-z0-9+/_-]{20,}", "Bitbucket Data Center docs: HTTP access tokens"),
    Format(
        "jira-token",
        f"{_START}((?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){{4}}O[g-v][A-Za-z0-9+/]{{26,}})",
        "trufflehog jiradatacenterpat",
    ),
    Format("atlassian-token", "ATATT3[A-Za-z0-9_=-]{40,}", "gitleaks atlassian-api-token"),
    Format("npm-token", "npm_[A-Za-z0-9]{30,}", "gitleaks npm-access-token"),
    Format(
        "npm-token",
        "(?:^|[:\\s])_(?:authToken|auth|password)[ \\t]*=[ \\t]*[\"']?([A-Za-z0-9+/=_-]{16,})",
        "npm docs: npmrc",
    ),
    Format("pypi-token", f"pypi-AgE{_ID}{{30,}}", "gitleaks pypi-upload-token"),
    Format("rubygems-key", f"rubygems_{_HEX}{{40,}}", "gitleaks rubygems-api-token"),
    Format("crates-token", f"{_START}(cio[A-Za-z0-9]{{32,}})", "betterleaks crates-io-api-key"),
    Format("nuget-key", f"{_START}(oy2[a-z0-9]{{43}})", "trufflehog nugetapikey"),
    Format("docker-token", f"dckr_[po]at_{_ID}{{20,}}", "betterleaks dockerhub-personal-access-token"),
    Format("clojars-token", "CLOJARS_[A-Za-z0-9]{50,}", "gitleaks clojars-api-token"),
    Format("jfrog-key", f"{_START}(AKCp[A-Za-z0-9]{{60,}}|cmVmd[A-Za-z0-9+/=_-]{{50,}})", "gitleaks artifactory"),
    Format("cloudsmith-key", "csa_[A-Fa-f0-9]{30}[A-Za-z0-9]{6}", "betterleaks cloudsmith-api-key"),
    # Clouds
    Format("aws-access-key", "(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", "gitleaks aws-access-token"),
    Format(
        "aws-secret-key",
        r"(?i:secret(?:[_ -]|%5F)?(?:access)?(?:[_ -]|%5F)?key)"
        r"(?:[^A-Za-z0-9\r\n]|\\u[0-9a-f]{4}|&quot;|%[0-9A-F]{2}){1,16}"
        r"(?i:string>|value>)?([A-Za-z0-9/+]{40,})",
        "AWS docs: IAM, manage access keys",
    ),
    Format(
        "aws-session-token",
        r"(?i:session(?:[_-]|%5F)?token)(?:[^A-Za-z0-9\r\n]|\\u[0-9a-f]{4}|&quot;|%[0-9A-F]{2}){1,16}"
        r"([A-Za-z0-9/+=%]{64,})",
        "AWS docs: STS, Credentials",
    ),
    Format("aws-session-token", "(?:IQoJb3JpZ2lu|FwoGZXIvYXdz)[A-Za-z0-9+/=%]{60,}", "AWS docs: STS, GetSessionToken"),
    Format(
        "aws-bedrock-key", "ABSK[A-Za-z0-9+/=]{60,}|bedrock-api-key-[A-Za-z0-9+/=]{40,}", "gitleaks aws-amazon-bedrock"
    ),
    Format(
        "aws-signature", f"(?i:x-amz-signature=)({_HEX}{{64}})", "AWS docs: S3, query parameters of signed requests"
    ),
    Format(
        "azure-key",
        "(?i:(?:Account|SharedAccess|Access|Primary|Secondary)Key)[\"' ]*[=:][\"' ]*([A-Za-z0-9+/]{40,}={0,2})",
        "betterleaks azure-storage-account-key, azure-servicebus-connection-string",
    ),
    Format("azure-sas", "(?i:[?&;]sig=)([A-Za-z0-9%+/=_-]{40,})", "Microsoft Learn: create a service SAS"),
    Format("azure-secret", "[A-Za-z0-9_~.]{3}\\dQ~[A-Za-z0-9_~.-]{31,34}", "gitleaks azure-ad-client-secret"),
    Format(
        "azure-devops-token", "[A-Za-z0-9]{70,80}AZDO[A-Za-z0-9]{4}", "Microsoft Purview: Azure DevOps access token"
    ),
    Format(
        "azure-key",
        "[A-Za-z0-9+/]{33,}(?:APIM|ACDb|\\+ASt|\\+AEh|\\+ARm|ACR|AzFu|AzSe)[A-Za-z0-9+/]{5,}={0,2}",
        "Microsoft Security Utilities: identifiable keys",
    ),
    Format("digitalocean-token", f"do[opr]_v1_{_HEX}{{40,}}", "gitleaks digitalocean"),
    Format("cloudflare-key", "cf(?:k|ut|at)_[A-Za-z0-9]{40,}", "Cloudflare docs: token formats"),
    Format("cloudflare-key", f"v1\\.0-{_HEX}{{24}}-{_HEX}{{100,}}", "gitleaks cloudflare-origin-ca-key"),
    Format("heroku-key", f"HRKU-{_ID}{{30,}}", "gitleaks heroku-api-key-v2"),
    Format(
        "fly-token",
        "fo1_[A-Za-z0-9_-]{40,}|fm[12][ar]?_[A-Za-z0-9+/=]{60,}|FlyV1 [A-Za-z0-9+/=_,]{40,}",
        "gitleaks flyio",
    ),
    Format("vercel-token", f"{_START}(vc[kairp]_{_ID}{{20,}}|vercel_blob_rw_{_ID}{{20,}})", "betterleaks vercel"),
    Format("netlify-token", f"{_START}(nf[pcoub]_[A-Za-z0-9]{{30,}})", "trufflehog netlify"),
    Format("render-key", f"{_START}(rnd_[A-Za-z0-9]{{20,}})", "betterleaks render-api-key"),
    Format("supabase-key", f"{_START}(sbp_[A-Za-z0-9_-]{{36,}}|sb_secret_{_ID}{{20,}})", "betterleaks supabase"),
    Format("planetscale-token", "pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_=.-]{30,}", "gitleaks planetscale"),
    Format("neon-key", "napi_[A-Za-z0-9]{40,}", "betterleaks neon-api-key"),
    Format("databricks-token", "(?:dapi|dkea|dose)[a-f0-9]{32}(?:-\\d)?", "gitleaks databricks-api-token"),
    Format("mongodb-secret", f"mdb_sa_sk_{_ID}{{30,}}", "betterleaks mongodb-atlas-service-account-secret"),
    Format("cockroach-key", "CCDB1_[A-Za-z0-9]{22}_[A-Za-z0-9]{30,}", "betterleaks cockroachlabs-cloud-api-key"),
    Format("alibaba-key", f"{_START}(LTAI[A-Za-z0-9]{{12,}})", "gitleaks alibaba-access-key-id"),
    Format(
        "yandex-key",
        f"{_START}(AQVN{_ID}{{30,}}|t1\\.[A-Za-z0-9_=-]+\\.{_ID}{{80,}}|y0_{_ID}{{40,}})",
        "gitleaks yandex",
    ),
    Format("openshift-token", f"sha256~{_ID}{{40,}}", "gitleaks openshift-user-token"),
    Format("scalingo-token", f"tk-us-{_ID}{{40,}}", "gitleaks scalingo-api-token"),
    Format("aiven-password", f"{_START}(AVNS_{_ID}{{16,}})", "Aiven docs: service credentials"),
    Format("tencent-key", f"{_START}(AKID[A-Za-z0-9]{{32,}})", "trufflehog tencentcloud"),
    Format(
        "kubeadm-token",
        "(?i:token)[\"'=: \\t]+([a-z0-9]{6}\\.[a-z0-9]{16})\\b",
        "Kubernetes docs: authenticating with bootstrap tokens",
    ),
    Format("upcloud-token", "ucat_[0-9A-Za-z]{20,}", "betterleaks upcloud-api-token"),
    # Chat and mail
    Format(
        "slack-token",
        "xox[abcdeoprs]-[A-Za-z0-9%-]{16,}|xoxe\\.xox[bp]-[A-Za-z0-9-]{20,}|xapp-[A-Za-z0-9-]{16,}",
        "gitleaks slack",
    ),
    Format(
        "slack-webhook",
        "hooks\\.slack(?:-gov)?\\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/_-]{20,})",
        "gitleaks slack-webhook-url",
    ),
    Format(
        "teams-webhook",
        "(?i:webhook\\.office\\.com/webhookb2/)([0-9A-Za-z@/-]{60,})",
        "gitleaks microsoft-teams-webhook",
    ),
    Format(
        "discord-webhook",
        f"discord(?:app)?\\.com/api/(?:v\\d+/)?webhooks/\\d+/({_ID}{{40,}})",
        "trufflehog discordwebhook",
    ),
    Format(
        "discord-token",
        f"{_START}([MNO][A-Za-z0-9_-]{{22,27}}\\.{_ID}{{6}}\\.{_ID}{{27,}})",
        "trufflehog discordbottoken",
    ),
    Format("telegram-token", f"{_START}([0-9]{{8,10}}:A{_ID}{{32,}})", "gitleaks telegram-bot-api-token"),
    Format("telegram-token", f"/bot([0-9]{{5,16}}:{_ID}{{30,}})", "Telegram docs: Bot API, authorizing your bot"),
    Format("twilio-key", f"{_START}(SK[0-9a-f]{{32}})", "gitleaks twilio-api-key"),
    Format("sendgrid-key", f"SG\\.{_ID}{{16,}}\\.[A-Za-z0-9_=-]{{30,}}", "gitleaks sendgrid-api-token"),
    Format(
        "mailgun-key",
        f"{_START}(key-[0-9a-z]{{32}}|[a-f0-9]{{32}}-[a-f0-9]{{8}}-[a-f0-9]{{8}})",
        "gitleaks mailgun",
    ),
    Format("mailchimp-key", f"{_START}([0-9a-f]{{32}}-us[0-9]{{1,2}})", "gitleaks mailchimp-api-key"),
    Format("brevo-key", f"x(?:keysib|smtpsib)-{_HEX}{{40,}}-[A-Za-z0-9]{{12,}}", "gitleaks sendinblue-api-token"),
    Format("mailersend-token", "mlsn\\.[A-Za-z0-9]{30,}", "betterleaks mailersend-api-token"),
    Format("resend-key", f"{_START}(re_[A-Za-z0-9]{{6,}}_[A-Za-z0-9]{{16,}})", "Resend docs: API keys"),
    Format("ntfy-token", f"{_START}(tk_[a-z0-9]{{29}}\\b)", "ntfy docs: publishing, access tokens"),
    Format("zapier-webhook", "hooks\\.zapier\\.com/hooks/catch/([0-9]+/[A-Za-z0-9]{6,})", "trufflehog zapierwebhook"),
    # Payment and shops
    Format(
        "stripe-key",
        f"{_START}((?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{{10,}})|whsec_[A-Za-z0-9+/=]{{24,}}",
        "gitleaks stripe-access-token",
    ),
    Format("square-token", f"{_START}(EAAA{_ID}{{40,}})|sq0[a-z]{{3}}-{_ID}{{22,}}", "gitleaks square-access-token"),
    Format("facebook-token", f"{_START}(EAA[A-Za-z0-9]{{60,}})", "gitleaks facebook-page-access-token"),
    Format("shopify-token", f"shp(?:at|ca|pa|ss|ua|rt|ka)_{_HEX}{{32}}", "gitleaks shopify"),
    Format(
        "paypal-token",
        f"access_token\\$(?:production|sandbox)\\$[0-9a-z]{{16}}\\${_HEX}{{32}}",
        "trufflehog braintreepayments",
    ),
    Format("razorpay-key", "rzp_(?:live|test)_[A-Za-z0-9]{14,}", "trufflehog razorpay"),
    Format("plaid-token", f"access-(?:sandbox|development|production)-{_UUID}", "gitleaks plaid-api-token"),
    Format("paddle-key", "pdl_(?:live|sdbx)_apikey_[A-Za-z0-9_]{30,}", "betterleaks paddle-live-api-key"),
    Format("flutterwave-key", "FLWSECK(?:_TEST)?-[A-Za-z0-9-]{12,}", "gitleaks flutterwave-secret-key"),
    Format("easypost-key", f"{_START}(EZ[AT]K[A-Za-z0-9]{{50,}})", "gitleaks easypost-api-token"),
    Format("shippo-token", f"shippo_(?:live|test)_{_HEX}{{40}}", "gitleaks shippo-api-token"),
    Format("duffel-token", "duffel_(?:test|live)_[A-Za-z0-9_=-]{40,}", "gitleaks duffel-api-token"),
    # Operations
    Format("vault-token", f"{_START}(hv[sbr]\\.{_ID}{{20,}}|s\\.[A-Za-z0-9]{{24}}\\b)", "gitleaks vault-service-token"),
    Format(
        "terraform-token",
        f"{_START}([A-Za-z0-9]{{10,}}\\.atlasv1\\.[A-Za-z0-9_=-]{{50,}})",
        "gitleaks hashicorp-tf-api-token",
    ),
    Format("vault-unseal-key", "Unseal Key [0-9]+: ([A-Za-z0-9+/]{40,}={0,2})", "Vault docs: operator init"),
    Format("pulumi-token", f"{_START}(pul-{_HEX}{{40}})", "gitleaks pulumi-api-token"),
    Format(
        "doppler-token", "dp\\.(?:pt|st|ct|sa|scim|audit|said|sat)\\.[A-Za-z0-9_.-]{30,}", "gitleaks doppler-api-token"
    ),
    Format(
        "infisical-token",
        f"{_START}(st\\.[0-9a-f-]{{24,}}\\.[A-Za-z0-9.]{{40,}})",
        "Infisical docs: service tokens",
    ),
    Format(
        "onepassword-token",
        "ops_eyJ[A-Za-z0-9+/=_-]{60,}|A3-[A-Z0-9]{6}-[A-Z0-9]{5,11}(?:-[A-Z0-9]{5,6}){3,4}",
        "gitleaks 1password",
    ),
    Format("age-key", "AGE-(?:SECRET-KEY(?:-PQ)?|PLUGIN-[A-Z]+)-1[A-Z0-9]{40,}", "gitleaks age-secret-key"),
    Format(
        "grafana-token",
        "glc_[A-Za-z0-9+/=]{32,}|glsa_[A-Za-z0-9]{28,}(?:_[A-Fa-f0-9]+)?|eyJrIjoi[A-Za-z0-9+/=]{30,}",
        "gitleaks grafana",
    ),
    Format(
        "newrelic-key",
        "NR(?:AK|II|IQ|JS|SP|AL)-[A-Za-z0-9_-]{18,}",
        "gitleaks new-relic",
    ),
    Format("newrelic-key", f"{_HEX}{{30,40}}(?:NRAL|FFFFNRAL)", "gitleaks new-relic"),
    Format("dynatrace-token", "dt0[a-z]\\d\\d\\.[A-Za-z0-9]{8,}\\.[A-Za-z0-9]{40,}", "gitleaks dynatrace-api-token"),
    Format("sentry-token", "sntr(?:ys|yu|yi)_[A-Za-z0-9+/=_]{40,}", "gitleaks sentry"),
    Format("honeycomb-key", "hc[a-z](?:ik|mk|lk)_[a-z0-9]{26,}", "Honeycomb docs: API keys"),
    Format("posthog-key", f"phx_{_ID}{{32,}}", "betterleaks posthog-personal-api-key"),
    Format("launchdarkly-key", f"{_START}((?:sdk|api|mob|rel)-{_UUID})", "trufflehog launchdarkly"),
    Format(
        "pagerduty-key",
        f"{_START}(u\\+{_ID}{{18}}|pd(?:us|eu)\\+_[A-Za-z0-9+/=_-]{{20,}})",
        "PagerDuty docs: REST API keys",
    ),
    Format("buildkite-token", f"{_START}(bk(?:ua|aa|aj|ar|ct|pt|pat|ps)_{_ID}{{30,}})", "betterleaks buildkite"),
    Format("circleci-token", "CCI(?:PAT|PRJ)_[A-Za-z0-9_]{40,}", "betterleaks circleci-personal-token"),
    Format("sonar-token", f"sonar\\.login=({_HEX}{{40}})", "SonarQube docs: analysis parameters"),
    Format("sonar-token", f"{_START}(sq[upa]_{_HEX}{{32,}})", "gitleaks sonar-api-token"),
    Format(
        "snyk-token", f"snyk_(?:uat|sat)\\.{_HEX}{{8}}\\.[A-Za-z0-9_.-]{{40,}}", "Snyk docs: authentication for API"
    ),
    Format("codecov-token", "codecov_[A-Za-z0-9-]{30,}", "Codecov docs: tokens"),
    Format("octopus-key", f"{_START}(API-[A-Z0-9]{{26,}})", "gitleaks octopus-deploy-api-key"),
    Format("prefect-key", "pn[ub]_[A-Za-z0-9]{36}", "gitleaks prefect-api-token"),
    Format(
        "harness-key",
        f"{_START}((?:pat|sat)\\.{_ID}{{22}}\\.{_HEX}{{24}}\\.[A-Za-z0-9]{{20}})",
        "gitleaks harness-api-key",
    ),
    Format("infracost-key", f"{_START}(ico-[A-Za-z0-9]{{32}})", "gitleaks infracost-api-token"),
    Format("tailscale-key", f"tskey-[a-z]+-{_ID}{{16,}}", "betterleaks tailscale-api-key"),
    Format("docker-swarm-key", "SWM(?:TKN|KEY)-1-[A-Za-z0-9+/-]{40,}", "betterleaks docker-swarm-join-token"),
    Format(
        "sourcegraph-token", f"sgp_(?:{_HEX}{{16}}_|local_)?[A-Za-z0-9]{{40,}}", "gitleaks sourcegraph-access-token"
    ),
    Format("elastic-key", "essu_[A-Za-z0-9_=-]{40,}", "betterleaks elastic-cloud-api-key"),
    Format("maxmind-key", "[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk", "gitleaks maxmind-license-key"),
    # Work
    Format("linear-key", "lin_(?:api|oauth|wh)_[A-Za-z0-9]{30,}", "gitleaks linear-api-key"),
    Format("notion-token", f"{_START}(ntn_[A-Za-z0-9]{{40,}}|secret_[A-Za-z0-9]{{43}})", "gitleaks notion-api-token"),
    Format(
        "airtable-token",
        f"{_START}(pat[A-Za-z0-9]{{14}}\\.{_HEX}{{40,}})",
        "gitleaks airtable-personnal-access-token",
    ),
    Format(
        "asana-token",
        f"{_START}([12]/[0-9]{{13,}}(?:/[0-9]{{13,}})?:{_HEX}{{32}})",
        "trufflehog asanapersonalaccesstoken",
    ),
    Format("hubspot-token", f"{_START}(pat-(?:na|eu|ap)[0-9]-{_UUID})", "trufflehog hubspot_apikey"),
    Format("intercom-token", f"{_START}(dG9rO[A-Za-z0-9+/=]{{40,}})", "trufflehog intercom"),
    Format("figma-token", f"fig[doumr]+_{_ID}{{30,}}", "betterleaks figma-personal-access-token"),
    Format("dropbox-token", f"{_START}(sl\\.(?:[a-z]\\.)?{_ID}{{60,}})", "gitleaks dropbox-short-lived-api-token"),
    Format("typeform-token", "tfp_[A-Za-z0-9_.=-]{40,}", "gitleaks typeform-api-token"),
    Format("postman-key", "PMA[KT]-[A-Za-z0-9]{20,}(?:-[A-Za-z0-9]{20,})?", "gitleaks postman-api-token"),
    Format("clickup-token", f"{_START}(pk_[0-9]{{6,}}_[A-Z0-9a-z]{{28,}})", "betterleaks clickup-personal-api-token"),
    Format("contentful-token", f"CFPAT-{_ID}{{40,}}", "trufflehog contentfulpersonalaccesstoken"),
    Format("ghost-key", f"{_START}({_HEX}{{24}}:{_HEX}{{64}})", "Ghost docs: Admin API, token authentication"),
    Format("intra42-secret", f"s-s4t2ud-{_HEX}{{64}}", "gitleaks intra42-client-secret"),
    Format("readme-key", "rdme_[a-z0-9]{60,}", "gitleaks readme-api-token"),
    Format("frameio-token", "fio-u-[A-Za-z0-9_=-]{40,}", "gitleaks frameio-api-token"),
    Format("adafruit-key", "aio_[A-Za-z0-9]{26,}", "trufflehog adafruitio"),
    Format("mapbox-token", f"{_START}([st]k\\.eyJ{_ID}{{40,}}\\.{_ID}{{16,}})", "trufflehog mapbox"),
    Format("salesforce-token", "00[A-Za-z0-9]{13}![A-Za-z0-9._-]{60,}", "betterleaks salesforce-access-token"),
    Format("okta-token", f"(?i:SSWS)[ \\t]+(00{_ID}{{30,}})", "Okta docs: API tokens"),
    Format("twitter-token", "AAAAAAAAAAAAAAAAAAAA[A-Za-z0-9%]{60,}", "gitleaks twitter-bearer-token"),
    Format("lob-key", f"{_START}((?:live|test)_(?:pub_)?{_HEX}{{31,}})", "gitleaks lob-api-key"),
    Format("cloudinary-url", f"(?i:cloudinary://)[0-9]+:({_ID}{{16,}})@", "trufflehog cloudinary"),
    # Of many issuers
    Format("django-secret-key", "django-insecure-[^\\s\"']{20,}", "Django docs: settings, SECRET_KEY"),
    Format("laravel-key", f"{_START}(base64:[A-Za-z0-9+/]{{40,}}={{0,2}})", "Laravel docs: encryption, APP_KEY"),
    Format("jwt", f"ey[JA-Za-z0-9][A-Za-z0-9_-]{{8,}}\\.ey{_ID}{{6,}}\\.[A-Za-z0-9_-]*", "RFC 7519: JSON Web Token"),
    Format(
        "jwk",
        f'\\\\*"d\\\\*"[ \\t]*:[ \\t]*\\\\*"({_ID}{{42,}})',
        "RFC 7517: JSON Web Key, private exponent",
    ),
    Format(
        "jwe", f"eyJ{_ID}{{20,}}\\.{_ID}*\\.{_ID}{{12,}}\\.{_ID}{{20,}}\\.{_ID}{{16,}}", "RFC 7516: JSON Web Encryption"
    ),
)
