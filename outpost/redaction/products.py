"""The formats of tokens of chat, mail, payment, operations and office products, and of standards; see `providers`."""

from outpost.redaction.patterns import WORD_START as _START
from outpost.redaction.providers import Format

_ID = "[A-Za-z0-9_-]"
_HEX = "[0-9a-fA-F]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"

PRODUCTS = (
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
