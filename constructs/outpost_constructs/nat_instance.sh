# shellcheck shell=bash
# User data of a NAT instance: masquerades what leaves NETWORK, and signals CloudFormation whether that works.
# The template adds the first lines: #!/bin/bash, and the values of NETWORK, STACK, RESOURCE and REGION.
set -euo pipefail

PATH=$PATH:/opt/aws/bin # cfn-signal, which Amazon Linux brings along
trap 'cfn-signal --exit-code "$?" --stack "$STACK" --resource "$RESOURCE" --region "$REGION"' EXIT

# The 512 MB of a nano are too few for dnf beside the SSM agent (amazon-linux-2023 issue 404).
add_swap() {
    dd if=/dev/zero of=/var/swap bs=1M count=1024 status=none
    chmod 600 /var/swap
    mkswap /var/swap
    swapon /var/swap
}

# What cloud-init does at the first boot can break an installation (aws-cdk issue 36717): repeat it.
install_nftables() {
    for _ in {1..10}; do
        if dnf install --assumeyes nftables; then
            return
        fi
        sleep 15
    done
    return 1
}

if ! command -v nft; then
    add_swap
    install_nftables
fi

tee /etc/sysctl.d/90-nat.conf <<< "net.ipv4.ip_forward = 1"
sysctl --load=/etc/sysctl.d/90-nat.conf

# Where nftables.service reads its rules from, also after a reboot.
tee /etc/sysconfig/nftables.conf << RULES
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr $NETWORK ip daddr != $NETWORK masquerade
    }
}
RULES
systemctl enable nftables
systemctl restart nftables
nft list chain ip nat postrouting | grep --quiet masquerade
