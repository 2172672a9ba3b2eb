//! Services: their virtual addresses, names and proxy, and sets whose service is missing.

use std::net::Ipv4Addr;
use std::time::Instant;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::log::log;
use super::state::Supervisor;
use crate::model::ObjectRef;
use crate::model::address::Pool;
use crate::model::endpoints::ServiceKind;
use crate::problem::Result;
use crate::store::journal::Severity;

impl Supervisor {
    /// Gives a virtual address to each service that needs one, before a pet starts whose variables
    /// contain it.
    pub(super) fn give_services_addresses(&mut self) {
        let mut without: Vec<(ObjectRef, Option<String>)> = Vec::new();
        for namespace in &self.stirred {
            let services = self.world.place(namespace).map(|place| &place.services);
            for (name, service) in services.into_iter().flatten() {
                if let Some(spec) = service.spec.as_ref().filter(|spec| wants_address(spec)) {
                    without.push((
                        ObjectRef::new(namespace.clone(), name.clone()),
                        spec.cluster_ip.clone(),
                    ));
                }
            }
        }
        for (key, asked) in without {
            if let Err(error) = self.give_service_address(&key, asked.as_deref()) {
                if error.chain().any(|cause| cause.is::<std::io::Error>()) {
                    self.unwritten.failed(&key.namespace);
                }
                let why = format!("{error:#}");
                if self.refused.get(&key) != Some(&why) {
                    self.service_event(&key, Severity::Warning, "FailedAllocation", &why);
                    self.refused.insert(key, why);
                }
            }
        }
    }

    fn give_service_address(&mut self, key: &ObjectRef, asked: Option<&str>) -> Result<()> {
        let asked = asked.filter(|asked| !asked.is_empty());
        let wish: Option<Ipv4Addr> = asked.and_then(|asked| asked.parse().ok());
        let ip = self
            .addresses
            .address_of_service(&key.namespace, key.name.as_str(), wish)?;
        if wish == Some(ip) {
            return Ok(());
        }
        self.write_service_address(key, ip)?;
        let place = self.world.place_mut(&key.namespace);
        if let Some(service) = place.services.get_mut(&key.name) {
            set_address(service, ip);
        }
        // A copied state directory has addresses of another block.
        let foreign = wish.is_none_or(|wish| !wish.is_loopback() || !Pool::Services.holds(wish));
        if let Some(asked) = asked.filter(|_| foreign) {
            let message = format!("{asked} is no address of this state directory: it has {ip}");
            self.service_event(key, Severity::Warning, "ClusterIPChanged", &message);
        }
        Ok(())
    }

    /// Writes a service's address to the wanted object, as the API server does.
    fn write_service_address(&self, key: &ObjectRef, ip: Ipv4Addr) -> Result<()> {
        self.store.edit("supervise", None, |edit| {
            if let Some(mut service) = edit.find::<Service>(&key.namespace, &key.name)? {
                set_address(&mut service, ip);
                edit.put(&service)?;
            }
            Ok(())
        })
    }

    pub(super) fn service_event(
        &self,
        key: &ObjectRef,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        let object = format!("service/{}", key.name);
        self.event(key, key.name.as_str(), object, severity, reason, message);
    }

    /// Writes an event, once, that the service of a set does not exist.
    pub(super) fn note_missing_service(&mut self, key: &ObjectRef) {
        let place = self.world.place(&key.namespace);
        let set = place.and_then(|place| place.sets.get(&key.name));
        let service = set
            .and_then(|set| set.spec.as_ref()?.service_name.as_deref())
            .filter(|service| !service.is_empty());
        let there = |service: &str| place.is_some_and(|place| place.services.contains_key(service));
        let Some(service) = service.filter(|service| !there(service)) else {
            self.unserved.remove(key);
            return;
        };
        let message = format!(
            "service {service:?} does not exist: its pets have no names until it is created"
        );
        if self.unserved.insert(key.clone()) {
            self.set_event(key, Severity::Warning, "NoService", &message);
        }
    }

    /// Starts the proxy if there is a service with a virtual address.
    pub(super) fn tend_proxy(&mut self) {
        let now = Instant::now();
        let rests = self.proxy.rests_until().is_some_and(|until| until > now);
        if self.proxy.child().is_some() || rests {
            return;
        }
        let offers = |kind: &ServiceKind| matches!(kind, ServiceKind::ClusterIp { addresses } if !addresses.is_empty());
        let mut records = self.names.records();
        if !records.any(|record| offers(&record.kind) && !record.endpoints.is_empty()) {
            return;
        }
        drop(records);
        if let Err(error) = self.proxy.start(self.store.layout()) {
            log(&format!("cannot start the proxy of services: {error}"));
            self.proxy.ended();
        }
    }

    /// Starts the server of names, and tries again later where its address is in use; the first
    /// failure and its end are told.
    pub(super) fn serve_names(&mut self) {
        let failed = self.names.failures > 0;
        let listen = self.names.listen;
        match self.names.start() {
            Ok(()) if failed => {
                let message = format!("the host's DNS server listens on {listen} again");
                self.own_event("dns", Severity::Normal, "NamesServed", &message);
            }
            Err(error) if !failed => {
                let message =
                    format!("no DNS on {listen} for the host: {error}; petset tries again");
                log(&message);
                self.own_event("dns", Severity::Warning, "NoNames", &message);
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Starts the server of names again, if that is due.
    pub(super) fn tend_names(&mut self, now: Instant) {
        if self.names.rests_until().is_some_and(|until| until <= now) {
            self.serve_names();
        }
    }
}

/// Returns whether a service has a virtual address, or needs one.
fn wants_address(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() != Some("ExternalName") && spec.cluster_ip.as_deref() != Some("None")
}

fn set_address(service: &mut Service, ip: Ipv4Addr) {
    let spec = service.spec.get_or_insert_default();
    spec.cluster_ip = Some(ip.to_string());
    spec.cluster_ips = Some(vec![ip.to_string()]);
}
