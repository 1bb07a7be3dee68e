"""The formats of the tokens of models, forges, registries and clouds, each with the source of its format.

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
)
