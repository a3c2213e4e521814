"""The provider's FTPHook over our connection: time-outs, TLS that works, never out of step."""

from __future__ import annotations

from airflow.providers.ftp.hooks.ftp import FTPHook

from frameferry.config.connections import FtpConnection, ftp_connection
from frameferry.ftp.client import FerryFTP, connect
from frameferry.orchestration.connections import resolve_through_airflow


class FerryFTPHook(FTPHook):
    """
    Do all that `FTPHook` does, on connections of the same type, form and extras.

    More extras are understood: `tls` (none, explicit, implicit), `verify`, `ca_cert`, `timeout`
    in seconds. One hook is one connection, for one thread at a time.
    """

    conn: FerryFTP | None

    def __init__(
        self, ftp_conn_id: str = FTPHook.default_conn_name, settings: FtpConnection | None = None
    ) -> None:
        """
        Hook onto a connection.

        Args:
            ftp_conn_id: The connection's id in Airflow.
            settings: The same connection, resolved already: Airflow is not asked again then,
                so that threads may open more of them.
        """
        super().__init__(ftp_conn_id)
        self._settings = settings

    def get_conn(self) -> FerryFTP:
        """
        Return the logged-in connection, a new one where the last is dead or out of step.

        Raises:
            ConnectionUnresolved: Airflow has none of this id, or could not be asked.
            ConnectionMissing: It makes no sense as FTP.
            FtpUnavailable: Nothing answers, or not now.
            LoginRefused: The server refuses the user or password.
            DeliveryRefused: Certificate or TLS settings do not fit.
        """
        if self.conn is not None and not self.conn.is_in_step:
            self.close_conn()
        if self.conn is None:
            settings = self.get_settings()
            self.encoding = settings.encoding
            self.conn = connect(settings)
        return self.conn

    def get_settings(self) -> FtpConnection:
        """
        Read the Airflow connection as plain settings, which any thread may use.

        Raises:
            ConnectionUnresolved: Airflow has none of this id, or could not be asked.
            ConnectionMissing: It makes no sense as FTP.
        """
        return self._settings or ftp_connection(resolve_through_airflow(self.ftp_conn_id))

    def close_conn(self) -> None:
        """Say good-bye if there is somebody to say it to. Never raises; may be called twice."""
        ftp, self.conn = self.conn, None
        if ftp is not None:
            ftp.farewell()

    def test_connection(self) -> tuple[bool, str]:
        """Log in and ask for the working folder, for the button in Airflow's form."""
        try:
            self.get_conn().pwd()
        except Exception as error:  # noqa: BLE001 - the form shows whatever goes wrong
            return False, str(error)
        finally:
            self.close_conn()
        return True, "Connection successfully tested"
