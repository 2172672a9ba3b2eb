//! The variables that tell where services are (V27).

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// Returns the variables that tell where a service is (V27); none for one without an address.
pub(super) fn service_variables(service: &Service) -> Vec<(String, String)> {
    let spec = service.spec.as_ref();
    let ip = spec.and_then(|spec| spec.cluster_ip.as_deref());
    let ip = ip.filter(|ip| !ip.is_empty() && *ip != "None");
    let ports = spec
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default();
    let (Some(ip), Some(first)) = (ip, ports.first()) else {
        return Vec::new();
    };
    let name = as_variable(service.metadata.name.as_deref().unwrap_or_default());
    let mut variables = vec![
        (format!("{name}_SERVICE_HOST"), ip.to_owned()),
        (format!("{name}_SERVICE_PORT"), first.port.to_string()),
        (format!("{name}_PORT"), url(ip, first)),
    ];
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let port_name = as_variable(port_name);
            let variable = format!("{name}_SERVICE_PORT_{port_name}");
            variables.push((variable, port.port.to_string()));
        }
        let protocol = protocol(port);
        let prefix = format!("{name}_PORT_{}_{protocol}", port.port);
        variables.push((format!("{prefix}_PROTO"), protocol.to_ascii_lowercase()));
        variables.push((format!("{prefix}_PORT"), port.port.to_string()));
        variables.push((format!("{prefix}_ADDR"), ip.to_owned()));
        variables.push((prefix, url(ip, port)));
    }
    variables
}

fn protocol(port: &ServicePort) -> String {
    let protocol = port.protocol.as_deref().filter(|given| !given.is_empty());
    protocol.unwrap_or("TCP").to_ascii_uppercase()
}

fn url(ip: &str, port: &ServicePort) -> String {
    let scheme = protocol(port).to_ascii_lowercase();
    let bracketed = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    };
    format!("{scheme}://{bracketed}:{}", port.port)
}

fn as_variable(name: &str) -> String {
    name.replace('-', "_").to_ascii_uppercase()
}
