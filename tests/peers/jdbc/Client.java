import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Types;
import java.util.UUID;
import org.postgresql.PGResultSetMetaData;
import org.postgresql.core.Field;
import org.postgresql.util.PSQLException;

/** What tests/tests/clients.rs asks of every client, through PostgreSQL's JDBC driver. */
public final class Client {
    private final Connection connection;
    private final String category;
    private final String stream;

    private Client(Connection connection, String category) {
        this.connection = connection;
        this.category = category;
        this.stream = category + "-1";
    }

    public static void main(String[] arguments) throws SQLException {
        var category = arguments[0];
        var isBinary = arguments[1].equals("binary");
        var count = Integer.parseInt(arguments[3]);
        var url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
            + System.getenv("PGDATABASE") + "?user=" + System.getenv("PGUSER") + "&binaryTransfer=" + isBinary;
        if (isBinary) {
            // Prepared, and so binary, from the first call on.
            url += "&prepareThreshold=-1";
        } else if (arguments[2].equals("transaction")) {
            url += "&prepareThreshold=0";
        }
        try (var connection = DriverManager.getConnection(url)) {
            var client = new Client(connection, category);
            client.write();
            client.read();
            client.conflict();
            client.follow(count);
        }
        System.out.println("done");
    }

    private void write() throws SQLException {
        for (var number = 0; number < 3; number++) {
            System.out.println("write " + write(number, number - 1));
        }
    }

    private long write(int number, long expectedVersion) throws SQLException {
        try (var call = connection.prepareStatement(
                "SELECT message_store.write_message(?, ?, ?, ?::jsonb, ?::jsonb, ?)")) {
            call.setString(1, UUID.randomUUID().toString());
            call.setString(2, stream);
            call.setString(3, "Noted");
            call.setString(4, "{\"number\": " + number + "}");
            call.setNull(5, Types.VARCHAR);
            call.setLong(6, expectedVersion);
            var rows = call.executeQuery();
            rows.next();
            return rows.getLong(1);
        }
    }

    private void read() throws SQLException {
        try (var call = connection.prepareStatement(
                "SELECT position, type, data FROM message_store.get_stream_messages(?, ?, ?)")) {
            setValues(call, stream, 0, 1000);
            var rows = call.executeQuery();
            var format = ((PGResultSetMetaData) rows.getMetaData()).getFormat(1);
            System.out.println("format " + (format == Field.BINARY_FORMAT ? "binary" : "text"));
            while (rows.next()) {
                var number = rows.getString(3).replaceAll("\\D", "");
                System.out.println("read " + rows.getLong(1) + " " + rows.getString(2) + " " + number);
            }
        }
    }

    private void conflict() throws SQLException {
        try {
            write(0, 7);
        } catch (PSQLException error) {
            var text = error.getServerErrorMessage().getMessage();
            System.out.println("conflict " + error.getSQLState() + " " + text);
        }
    }

    private void follow(int count) throws SQLException {
        System.out.println("following");
        var position = 0L;
        for (var seen = 0; seen < count;) {
            try (var call = connection.prepareStatement(
                    "SELECT global_position FROM message_store.get_category_messages(?, ?, ?)")) {
                setValues(call, category, position + 1, 10);
                var rows = call.executeQuery();
                while (rows.next()) {
                    seen++;
                    position = rows.getLong(1);
                    System.out.println("follow " + position);
                }
            }
        }
    }

    private static void setValues(PreparedStatement call, String name, long position, long batchSize)
            throws SQLException {
        call.setString(1, name);
        call.setLong(2, position);
        call.setLong(3, batchSize);
    }
}
