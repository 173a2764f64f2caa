//! A socket while it speaks HTTP: what its requests need of it, and what becomes of it after an
//! upgrade. It reads no request.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Parts};

use super::http_socket::HttpSocket;
use crate::node_status::{ConnectionSlot, NodeStatus};
use crate::websocket::{self, Grant};
use crate::worker::Worker;

/// One accepted socket while it speaks HTTP.
pub(super) struct HttpConnection {
    pub(super) worker: Rc<Worker>,
    pub(super) status: Arc<NodeStatus>,
    pub(super) slot: Rc<ConnectionSlot>,
    pub(super) accepted: Instant,
    /// The address that the socket comes from, or what its PROXY protocol says.
    pub(super) peer: IpAddr,
    /// What the last request was granted, once hyper has let go of the socket.
    granted: RefCell<Option<(OnUpgrade, Grant)>>,
}

impl HttpConnection {
    pub(super) fn new(
        worker: Rc<Worker>,
        status: Arc<NodeStatus>,
        slot: ConnectionSlot,
        (accepted, peer): (Instant, IpAddr),
    ) -> Self {
        let (slot, granted) = (Rc::new(slot), RefCell::default());
        Self { worker, status, slot, accepted, peer, granted }
    }

    /// The request that is being answered is granted an upgrade.
    pub(super) fn grant(&self, upgrade: OnUpgrade, grant: Grant) {
        *self.granted.borrow_mut() = Some((upgrade, grant));
    }

    /// HTTP has ended: if it ended in an upgrade, the socket is a connection from now on.
    pub(super) async fn leave(&self) {
        let Some((upgrade, grant)) = self.granted.take() else { return };
        let Ok(upgraded) = upgrade.await else {
            return tracing::debug!("a socket was lost during its handshake");
        };
        let parts: Parts<HttpSocket> =
            upgraded.downcast().expect("sockets are served as HttpSocket");
        // A copy: even an empty rest of hyper's buffer would keep all 8 KiB of it.
        let (socket, early) = (parts.io.into_inner(), Bytes::copy_from_slice(&parts.read_buf));
        websocket::start(self.worker.clone(), socket, early, grant);
    }
}
