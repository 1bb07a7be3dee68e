"""The formats of the tokens of smaller services, which begin with a word of their own; see `providers`."""

from outpost.redaction.patterns import WORD_START as _START
from outpost.redaction.providers import Format

_ID = "[A-Za-z0-9_-]"
_HEX = "[0-9a-f]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"

SERVICES = (
    # Models and agents
    Format("apify-token", "apify_api_[A-Za-z0-9]{30,}", "betterleaks apify-api-token"),
    Format("litellm-key", f"{_START}(sk-{_ID}{{22}}\\b)", "LiteLLM docs: virtual keys, /key/generate"),
    Format("mergify-key", f"mergify_application_key_{_ID}{{40,}}", "betterleaks mergify-application-key"),
    Format("salad-key", "salad_cloud_[0-9A-Za-z]{1,7}_[0-9A-Za-z]{7,}", "trufflehog saladcloudapikey"),
    Format("sourcegraph-token", f"{_START}(slk_{_HEX}{{60,}})", "trufflehog sourcegraphcody"),
    Format("unkey-key", f"{_START}(unkey_[A-Za-z0-9]{{20,}})", "betterleaks unkey-root-key"),
    Format("zuplo-key", f"zpka_[a-z0-9]{{32}}_{_HEX}{{8}}", "betterleaks zuplo-consumer-api-key"),
    # Clouds and data
    Format("alibaba-key", f"{_START}(STS\\.[A-Za-z0-9]{{16,}})", "betterleaks alibaba-sts-access-key-id"),
    Format("clickhouse-key", f"{_START}(4b1d[A-Za-z0-9]{{38}}\\b)", "betterleaks clickhouse-cloud-api-secret-key"),
    Format(
        "datastax-token", "AstraCS:[A-Za-z0-9]{20,}(?::[0-9a-f]{20,})?", "betterleaks datastax-astra-application-token"
    ),
    Format("defined-token", "dnkey-[A-Za-z0-9=_-]{40,}", "betterleaks defined-networking-api-token"),
    Format("deno-token", f"{_START}(dd[op]_[A-Za-z0-9]{{36}})", "betterleaks deno-account-token"),
    Format("exoscale-key", f"{_START}(EXO[a-f0-9]{{24,30}}\\b)", "betterleaks exoscale-api-key"),
    Format("tableau-token", "[A-Za-z0-9+/]{22}==:[A-Za-z0-9]{32}", "betterleaks tableau-personal-access-token"),
    Format("yandex-key", f"{_START}(YC[A-Za-z0-9_-]{{38}}\\b)", "betterleaks yandex-aws-access-token"),
    # Code and operations
    Format("aikido-key", "AIK_(?:CI|SECRET)_[A-Za-z0-9]{20,}", "betterleaks aikido-ci-token, aikido-client-secret"),
    Format("ubidots-token", "BBFF-[0-9a-zA-Z]{30,}", "trufflehog ubidots"),
    Format("configcat-key", f"configcat-sdk-1/{_ID}{{22}}/{_ID}{{22}}", "betterleaks configcat-sdk-key-extended"),
    Format("devcycle-key", "dvc_server_[A-Za-z0-9_]{8,}", "betterleaks devcycle-server-sdk-key"),
    Format("endorlabs-key", "endr\\+[A-Za-z0-9-]{16,}", "betterleaks endorlabs-api-key"),
    Format("ionic-token", f"{_START}(ion_[A-Za-z0-9]{{42}})", "betterleaks ionic-personal-access-token"),
    Format("robinhood-key", f"rh-api-{_UUID}", "trufflehog robinhoodcrypto"),
    Format("rootly-key", f"rootly_{_HEX}{{60,}}", "betterleaks rootly-api-key"),
    Format("settlemint-token", f"{_START}(sm_[aps]at_[A-Za-z0-9]{{16,}})", "betterleaks settlemint"),
    Format("flexport-token", f"shltm_{_ID}{{40}}", "trufflehog flexport"),
    Format("wakatime-key", f"{_START}(waka_[a-z0-9-]{{36,}})", "betterleaks wakatime-api-key"),
    Format("workato-token", f"wrka(?:[a-z]{{2}})?-eyJ{_ID}{{8,}}\\.{_ID}{{16,}}\\.{_ID}{{40,}}", "betterleaks workato"),
    # Work, identity and payment
    Format("adobe-secret", f"{_START}(p8e-[A-Za-z0-9_-]{{32}})", "gitleaks adobe-client-secret"),
    Format("asaas-token", f"\\$aact_(?:prod|hmlg)_{_ID}{{20,}}", "betterleaks asaas-api-token"),
    Format(
        "authress-key",
        "(?:sc|ext|scauth|authress)_[a-z0-9]{5,30}\\.[a-z0-9]{4,6}\\.acc[_-][a-z0-9-]{10,32}\\.[A-Za-z0-9+/_=-]{30,}",
        "gitleaks authress-service-client-access-key",
    ),
    Format("workos-key", f"{_START}(sk_live_a2V5Xz[A-Za-z0-9+/]{{40,}}={{0,2}})", "betterleaks workos"),
    Format("canva-secret", f"cnvca{_ID}{{51}}", "betterleaks canva-client-secret"),
    Format("checkout-key", f"{_START}(sk_(?:sbox_)?{_UUID})", "gitleaks checkout"),
    Format(
        "ebay-secret", f"{_START}((?:PRD|SBX)-{_HEX}{{8,12}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{4,12}})", "betterleaks ebay"
    ),
    Format("gocardless-token", f"{_START}(live_{_ID}{{40}}\\b)", "gitleaks gocardless-api-token"),
    Format("klaviyo-key", f"{_START}(pk_(?:[A-Za-z0-9]{{6}}_)?{_HEX}{{34}})", "trufflehog klaviyo"),
    Format("lichess-token", f"{_START}(lip_[A-Za-z0-9]{{16,}})", "betterleaks lichess-personal-access-token"),
    Format("mercury-token", "mercury_production_[a-z]{3,6}_[A-Za-z0-9]{40,50}_yrucrem", "betterleaks mercury"),
    Format("midtrans-key", f"{_START}(Mid-server-{_ID}{{20,}})", "betterleaks midtrans"),
    Format("onesignal-key", "os_v2_(?:app|org)_[a-z2-7]{60,}", "betterleaks onesignal-rich-authentication-token"),
    Format("onfido-token", f"{_START}(api_(?:live|sandbox)(?:_[a-z]{{2}})?\\.{_ID}{{20,}})", "betterleaks onfido"),
    Format("persona-key", f"{_START}(persona_(?:production|sandbox)_{_ID}{{20,}})", "betterleaks persona"),
    Format("pinterest-token", f"{_START}(pina_[A-Za-z0-9]{{20,}})", "betterleaks pinterest-access-token"),
    Format("polar-token", f"{_START}(polar_(?:at|oat|pat)_{_ID}{{20,}})", "betterleaks polar"),
    Format("pubnub-key", f"{_START}(sec-c-[A-Za-z0-9]{{40,}})", "PubNub docs: keys"),
    Format("ramp-secret", "ramp_sec_[A-Za-z0-9]{40,}", "betterleaks ramp-client-secret"),
    Format("samsara-token", "samsara_api_[A-Za-z0-9]{26,}", "betterleaks samsara-api-token"),
    Format("sonar-token", f"{_START}(sqco_[A-Za-z0-9]{{50,}})", "trufflehog sonarcloud"),
    Format(
        "stripe-secret", f"{_START}(pi_[A-Za-z0-9]{{24}}_secret_[A-Za-z0-9]{{20,}})", "trufflehog stripepaymentintent"
    ),
    Format("thunderstore-token", f"{_START}(tss_{_ID}{{32,}})", "betterleaks thunderstore-api-token"),
    Format("val-town-token", f"{_START}(vtwn_{_ID}{{20,}})", "betterleaks val-town-api-token"),
    Format("apideck-key", f"{_START}(sk_live_[A-Za-z0-9-]{{90,}})", "trufflehog apideck"),
    Format("bannerbear-key", f"{_START}(bb_(?:pr|ma)_{_HEX}{{30}})", "trufflehog bannerbear"),
    Format("fleetbase-key", "flb_live_[0-9a-zA-Z]{20,}", "trufflehog fleetbase"),
    Format("pagarme-key", f"{_START}(ak_live_[a-zA-Z0-9]{{30}})", "trufflehog pagarme"),
    Format("jwt", "ZXlK[A-Za-z0-9+/_-]{80,}={0,2}", "gitleaks jwt-base64"),
)
